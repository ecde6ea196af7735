package main

import (
	"regexp"
	"testing"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/demo"
	"github.com/digestgate/digestgate/cmd/digestgate/programtest"
)

// TestScheduleCommands plays schedules and scan tasks with the program: a schedule of the
// file, one that is made here, their runs, and a scan of a scope that analyses again.
func TestScheduleCommands(t *testing.T) {
	t.Setenv("DIGESTGATE_ANALYZER", programtest.AnalyzerPath(t))
	s := newServer(t, `
schedules:
  - {name: filed, kind: match, every: 30d, at: "01:00", timeZone: Asia/Shanghai, window: "00:00-07:00", scope: {registries: [hub]}, enabled: false}
`)
	s.start()
	token := s.tokenFile()
	ask := s.asking(t)
	d := s.pushDebian("team/app", "v1", demo.Updated, nil)
	ask(0, []string{"scan", s.registry.Host + "/team/app:v1"}, `resolve`)
	s.until(d, time.Minute, scanned)

	ask(0, []string{"schedules", "list"}, `^NAME +SOURCE +ENABLED`, `^filed +file +false +match +every 30d at 01:00 Asia/Shanghai +- +never`)
	ask(0, []string{"schedules", "add", "nightly", "--cron", "0 1 * * *", "--time-zone", "Europe/Berlin", "--rate", "100", "--tag", "v*"}, `^nightly +api +true +match +0 1 \* \* \* Europe/Berlin +20\d\d-`)
	ask(1, []string{"schedules", "add", "nightly", "--cron", "@daily"}, `409: schedule "nightly" already exists; choose another name`)
	ask(1, []string{"schedules", "add", "filed", "--cron", "@daily"}, `409: schedule "filed" is in the configuration file; choose another name`)
	ask(1, []string{"schedules", "add", "bad", "--cron", "0 0 1 * * *", "--window", "x", "--registry", "nowhere"}, `six fields begin with seconds`, `"x" is not a window`, `"nowhere" is not the name of a configured registry; configured are hub`)
	ask(1, []string{"schedules", "remove", "filed"}, `"filed": the server answered 409: .*change it there`)
	ask(1, []string{"schedules", "add", "bad", "--every", "3"}, `every: "3" is not a number of days from 1d to 366d; write 3d for 3 days`)
	ask(1, []string{"schedules", "add", "bad"}, `--cron and --every are both empty`)
	ask(1, []string{"schedules", "set", "filed", "--rate", "5"}, `409: .*change it there`)
	ask(1, []string{"schedules", "set", "nightly"}, `nothing changes: give the flags`)
	ask(1, []string{"schedules", "set", "nightly", "--window", "x"}, `the schedule was not changed; correct these values\n  window: "x" is not a window`)
	ask(0, []string{"schedules", "set", "nightly", "--every", "3d", "--at", "02:00", "--repository", "team/**"}, `^nightly +api +true +match +every 3d at 02:00 Europe/Berlin`)
	ask(0, []string{"schedules", "show", "nightly"}, `^scope +repository team/\*\*, tag v\*$`, `^rate +at most 100 images an hour$`)
	ask(0, []string{"schedules", "disable", "nightly"}, `^nightly +api +false`)
	ask(0, []string{"schedules", "set", "nightly", "--cron", "0 1 * * *", "--repository", "", "--rate", "0"}, `^nightly +api +false +match +0 1 \* \* \* Europe/Berlin`)
	ask(0, []string{"schedules", "show", "nightly"}, `^scope +tag v\*$`, `^rate +no limit$`)
	ask(0, []string{"schedules", "enable", "nightly"}, `^nightly +api +true`)
	ask(1, []string{"schedules", "pause", "nightly"}, `has no run under way; "digestgate schedules run nightly" starts one`)
	ask(0, []string{"schedules", "run", "nightly"}, `^nightly-now-\w+ +match +queued`)
	deadline := time.After(time.Minute)
	for ended := false; !ended; {
		_, out, _ := command(t, "schedules", "list", "--server", s.urls["http"], "--token-file", token)
		ended = regexp.MustCompile(`(?m)^nightly .* done 20\d\d-`).MatchString(out)
		select {
		case <-deadline:
			t.Fatalf("the run of the schedule does not end: %s", out)
		case <-time.After(100 * time.Millisecond):
		}
	}
	ask(0, []string{"schedules", "show", "nightly"}, `^when +0 1 \* \* \* Europe/Berlin$`, `^next run +20`, `^last run +nightly-now-\w+ done, 1 of 1 images, 0 failed, 0 skipped, ended at `)
	ask(0, []string{"schedules", "show", "filed", "--format", "json"}, `"window": "00:00-07:00"`, `"next": \[\]`)
	ask(0, []string{"schedules", "remove", "nightly"}, `^nightly removed$`)
	ask(1, []string{"schedules", "show", "nightly"}, `404: there is no schedule "nightly"; "digestgate schedules list" lists them`)

	ask(1, []string{"scans", "start"}, `no flag chooses images: give --all`)
	ask(1, []string{"scans", "start", "--all", "--running"}, `leave out one or the other`)
	ask(1, []string{"scans", "start", "--all", "--risk", "malware"}, `"malware" is not looked at here`)
	ask(0, []string{"scans", "start", "--registry-type", "harbor", "--force", "--wait"}, `: done, 1 of 1 images`, `^scan-\w+ +content +done +1 of 1 +0 +0`)
	ask(0, []string{"scans", "start", "--recommended", "--wait", "--format", "json"}, `"analyzed": 0`, `"done": 1`)
	ask(0, []string{"scans", "start", "--all", "--kind", "match", "--window", closedNow()}, `^scan-\w+ +match +(queued|waiting)`)
	out := ask(0, []string{"scans", "list"}, `^SCAN +KIND +STATE +PROGRESS`, `^nightly-now-\w+ +match +done +1 of 1 .* nightly`)
	id := regexp.MustCompile(`(?m)^(scan-\w+) +match +`).FindStringSubmatch(out)
	if id == nil {
		t.Fatalf("no task waits: %s", out)
	}
	ask(0, []string{"scans", "pause", id[1]}, `^`+id[1]+` +match +paused`)
	ask(1, []string{"scans", "pause", id[1]}, `409: scan task "`+id[1]+`" is paused and cannot be paused$`)
	ask(0, []string{"scans", "resume", id[1]}, `^`+id[1]+` +match +queued`)
	ask(0, []string{"scans", "cancel", id[1]}, `^`+id[1]+` +match +cancelled`)
	ask(0, []string{"scans", "show", id[1]}, `^scan +`+id[1]+`$`, `^scope +every image$`, `^rate +no limit$`, `^state +cancelled$`)
	ask(1, []string{"scans", "start", "--all", "--kind", "match", "--force"}, `no scan was started; correct these values\n  force: it is for the kind content`)
	ask(0, []string{"scans", "start", "--tag", "nowhere", "--rate", "7", "--wait"}, `done +0 of 0 .*no known image is in the scope; "digestgate images" lists`)
	ask(1, []string{"scans", "show", "none"}, `404: there is no scan task "none"`)
	if q := s.quota(); q.Used != 1 {
		t.Errorf("%d images are charged, want the one that was pushed", q.Used)
	}
}

// closedNow is a window that is not open for hours.
func closedNow() string {
	from := time.Now().UTC().Add(6 * time.Hour)
	return from.Format("15:04") + "-" + from.Add(time.Hour).Format("15:04")
}
