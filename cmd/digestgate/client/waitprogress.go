package client

import (
	"fmt"
	"io"
	"time"

	"github.com/digestgate/digestgate/cmd/digestgate/app"
	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/view"
)

// progress tells a person what a command waits for: each time that it changes,
// and now and then while it does not.
type progress struct {
	to          io.Writer
	now         func() time.Time
	began, told time.Time
	text        string
}

func NewProgress(to io.Writer, now func() time.Time) *progress {
	return &progress{to: to, now: now, began: now()}
}

func (p *progress) say(text string) {
	now := p.now()
	if text == p.text && now.Sub(p.told) < app.RemindEvery {
		return
	}
	p.text, p.told = text, now
	fmt.Fprintf(p.to, "%5s  %s\n", now.Sub(p.began).Round(time.Second), text)
}

// resolving is about a resolve: the manifest is read, an index taken apart.
func resolving(image string, job view.Job) string {
	text := "waiting for the manifest of " + gate.Printable(image, 300)
	switch job.State {
	case gate.JobQueued:
		text += ": queued"
	case gate.JobRunning:
		text += ": being read from its registry"
	case gate.JobDone:
		return text + ": read; the server's lists show its tag in a moment"
	default:
		text += ": " + string(job.State)
	}
	return text + ", usually 1 to 5 s" + reasonOf(job)
}

// analysing is about an image that has no verdict yet.
func analysing(v view.ImageDetail) string {
	text := fmt.Sprintf("waiting for the analysis of %s: ", v.Digest.Short())
	switch v.State {
	case gate.StateScanning:
		text += "its layers are pulled and searched, usually 10 s to 2 min"
		if v.Job != nil && v.Job.Progress.LayersTotal > 0 {
			text += fmt.Sprintf(" (layer %d of %d)", v.Job.Progress.LayersDone, v.Job.Progress.LayersTotal)
		}
	case gate.StateScanned:
		return fmt.Sprintf("waiting for the verdict on %s: its packages are matched and the policies evaluated, usually less than 5 s; without advisory data it does not end", v.Digest.Short())
	default:
		text += fmt.Sprintf("%s; it begins when a place for an analysis is free, usually less than 1 min", v.State)
	}
	if v.Job != nil {
		text += reasonOf(*v.Job)
	}
	return text
}

// reasonOf is why a job waits, and until when.
func reasonOf(j view.Job) string {
	text := ""
	if j.Error != "" {
		text = "; it waits because: " + gate.Printable(j.Error, 400)
	}
	if j.NotBefore != nil && !j.NotBefore.IsZero() && j.State != gate.JobDone && j.State != gate.JobRunning {
		text += "; next try at " + j.NotBefore.UTC().Format("15:04:05 UTC")
	}
	return text
}
