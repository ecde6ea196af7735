package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A process is one that this program has started, and ends.
type process struct {
	cmd  *exec.Cmd
	name string
	done chan struct{}
	err  error // of Wait, after done
}

// start runs a program until stop; lines is called with each line of its stderr.
func start(name string, cmd *exec.Cmd, lines func(string)) (*process, error) {
	p := &process{cmd: cmd, name: name, done: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = write
	if cmd.Stdout == nil {
		cmd.Stdout = write
	}
	err = cmd.Start()
	write.Close()
	if err != nil {
		read.Close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		defer close(p.done)
		defer read.Close()
		s := bufio.NewScanner(read)
		s.Buffer(nil, 1<<20)
		for s.Scan() {
			lines(s.Text())
		}
		_, _ = io.Copy(io.Discard, read) // after a line that is too long
		p.err = cmd.Wait()
	}()
	return p, nil
}

// stop ends the process, at first kindly.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// spent is the processor time of the process so far, with that of children that have
// ended (proc_pid_stat(5), in hundredths of a second).
func (p *process) spent() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid()))
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(text, []byte(") ")) // the name may hold spaces
	fields := strings.Fields(string(rest))
	if len(fields) < 15 {
		return 0
	}
	var ticks int64
	for _, f := range fields[11:15] {
		n, _ := strconv.ParseInt(f, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// A residence is what a process has in memory, in MB of 10⁶ bytes: its own pages, and
// those of the program and of other files, which the kernel can drop
// (proc_pid_status(5), RssAnon and RssFile).
type residence struct{ own, files float64 }

func (p *process) resident() residence {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid()))
	if err != nil {
		return residence{}
	}
	of := func(name string) float64 {
		_, rest, _ := strings.Cut(string(text), "\n"+name+":")
		value, _, _ := strings.Cut(rest, "kB")
		n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
		return n * 1024 / 1e6
	}
	return residence{own: of("RssAnon"), files: of("RssFile")}
}

// A line is one of the server's log.
type line struct {
	at     time.Time
	msg    string
	fields map[string]any
}

func (l line) number(key string) int {
	n, _ := l.fields[key].(float64)
	return int(n)
}

// A journal keeps what a server logs.
type journal struct {
	mu    sync.Mutex
	lines []line
	more  chan struct{} // closed at the next line
}

func newJournal() *journal { return &journal{more: make(chan struct{})} }

func (j *journal) add(text string) {
	l := line{at: time.Now()}
	if json.Unmarshal([]byte(text), &l.fields) != nil {
		l.msg = text
	} else {
		l.msg, _ = l.fields["msg"].(string)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, l)
	close(j.more)
	j.more = make(chan struct{})
}

// mark is a place from which wait looks.
func (j *journal) mark() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.lines)
}

// wait returns the first line since the mark that is wanted.
func (j *journal) wait(ctx context.Context, from int, want func(line) bool) (line, error) {
	for {
		j.mu.Lock()
		lines, more := j.lines[from:], j.more
		j.mu.Unlock()
		for _, l := range lines {
			if want(l) {
				return l, nil
			}
		}
		from += len(lines)
		select {
		case <-more:
		case <-ctx.Done():
			return line{}, fmt.Errorf("waiting for a line of the server's log: %w\n%s", context.Cause(ctx), j.tail())
		}
	}
}

// find is wait for what may have been logged already.
func (j *journal) find(from int, want func(line) bool) (line, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines[from:] {
		if want(l) {
			return l, true
		}
	}
	return line{}, false
}

// says is a wish for wait.
func says(msg string) func(line) bool { return func(l line) bool { return l.msg == msg } }

// tail is the end of the log, for a person who asks why.
func (j *journal) tail() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	var b strings.Builder
	for _, l := range j.lines[max(0, len(j.lines)-10):] {
		text, _ := json.Marshal(l.fields)
		fmt.Fprintf(&b, "  %s %s\n", l.msg, text)
	}
	return b.String()
}

var errEnded = errors.New("the process has ended")
