package app

import (
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
)

// namedFile is a file that a configuration names, and by which key.
type namedFile struct{ key, path string }

// configKey stands for the configuration file itself where others have their key.
const configKey = "the configuration itself"

// namedFiles lists every file or directory that a configuration names for reading:
// the keys whose names end in File or Files, and dockerConfig. policy.paths and
// advisories.path are left out: what reads them reports about them itself.
func namedFiles(c Config) []namedFile {
	var list []namedFile
	walkFiles(reflect.ValueOf(c), "", func(key, path string) { list = append(list, namedFile{key, path}) })
	return list
}

func walkFiles(v reflect.Value, prefix string, found func(key, path string)) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			walkFiles(v.Index(i), fmt.Sprintf("%s[%d]", prefix, i), found)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
			key := strings.TrimPrefix(prefix+"."+name, ".")
			if options == "inline" {
				key = prefix
			} else if name == "" || name == "-" {
				continue
			}
			walkFiles(v.Field(i), key, found)
		}
	case reflect.String:
		key := prefix
		if i := strings.LastIndexByte(prefix, '['); i > 0 && strings.HasSuffix(prefix, "]") {
			key = prefix[:i]
		}
		if path := v.String(); path != "" && (strings.HasSuffix(key, "File") || strings.HasSuffix(key, "Files") || strings.HasSuffix(key, "dockerConfig")) {
			found(prefix, path)
		}
	}
}

// fileWatch reports once when a file that is in use can no longer be read, and once
// when it can be read again. What was read from it stays in force meanwhile, so without
// this nothing would show before the next start, which fails.
type fileWatch struct {
	log   *slog.Logger
	state map[namedFile]*fileState
}

type fileState struct {
	missed int  // looks in a row
	told   bool // it was reported that the file cannot be read
	looked bool // in this round
}

// settledLooks is how many looks in a row must fail: one of them may see a file that
// is being replaced at the moment when it has no name.
const settledLooks = 2

// newFileWatch notes which files cannot be read already now; the start has reported
// them.
func newFileWatch(log *slog.Logger, files []namedFile) *fileWatch {
	w := &fileWatch{log: log, state: map[namedFile]*fileState{}}
	for _, f := range files {
		w.state[f] = &fileState{told: readable(f.path) != nil}
	}
	return w
}

// look looks at all files and forgets those that are no longer named. It reports
// whether one is back.
func (w *fileWatch) look(files []namedFile) (back bool) {
	for _, f := range files {
		s, known := w.state[f]
		if !known {
			s = &fileState{}
			w.state[f] = s
		}
		s.looked = true
		told := s.told
		w.follow(f, s, readable(f.path))
		back = back || told && !s.told
	}
	for f, s := range w.state {
		if !s.looked {
			delete(w.state, f)
		}
		s.looked = false
	}
	return back
}

func (w *fileWatch) follow(f namedFile, s *fileState, err error) {
	switch {
	case err == nil && s.told:
		w.log.Info("a file of the configuration can be read again", "key", f.key, "file", f.path)
		fallthrough
	case err == nil:
		s.missed, s.told = 0, false
	case s.told:
	default:
		if s.missed++; s.missed < settledLooks {
			return
		}
		s.told = true
		w.log.Error("a file of the configuration can no longer be read: what was read from it stays in force, but a restart will fail; put the file back",
			"key", f.key, "file", f.path, "error", err)
	}
}

// readable opens only files and directories: opening another kind might wait.
func readable(path string) error {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() && !info.IsDir() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return f.Close()
}
