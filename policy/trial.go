package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Trial tries a candidate set before it is activated; a nil error lets it in.
// Warnings are [Set.Warnings], and what the samples show of the same kind: a new
// set with warnings is not let in either, one that is in force is.
// [ChildTrial] is the one to use.
type Trial func(ctx context.Context, files []File) (warnings Problems, err error)

// The limits of a trial. The set is compiled and evaluated on a few samples,
// of which the largest has 500 vulnerabilities; sensible sets need some
// hundred milliseconds and 100 MiB, start of the process included.
const (
	trialTimeout = 15 * time.Second
	trialMemory  = 512 << 20 // bytes of heap
	trialOutput  = 1 << 20   // bytes of answer that are read
	// exitMemory is how the child says that it reached trialMemory.
	exitMemory = 86
)

// trialRequest is what the child reads, trialAnswer what it writes.
type trialRequest struct {
	Files  []File        `json:"files"`
	Budget time.Duration `json:"budget"`
	Memory int64         `json:"memory"` // bytes of heap
}

// trialLimits are those of one trial.
type trialLimits struct {
	timeout time.Duration
	memory  gate.ByteSize
}

type trialAnswer struct {
	Problems Problems `json:"problems"` // compile errors
	Failure  string   `json:"failure"`  // what went wrong on a sample
	Warnings Problems `json:"warnings"`
}

// ChildTrial tries sets in a child process: command is the program and its
// arguments, and it must call [TrialMain] (the hidden command `digestgate
// policy-trial`). The child has an empty environment, limited memory and time,
// and is killed when it exceeds them: a set that eats memory or never ends
// takes the child down and not the server. Errors: [Problems], or
// gate.ErrInvalid with what went wrong; gate.ErrResource when no child could be
// started.
func ChildTrial(budget time.Duration, command ...string) Trial {
	return childTrial(trialLimits{trialTimeout, trialMemory}, budget, command...)
}

func childTrial(limits trialLimits, budget time.Duration, command ...string) Trial {
	return func(ctx context.Context, files []File) (Problems, error) {
		ctx, cancel := context.WithTimeout(ctx, limits.timeout)
		defer cancel()
		request, err := json.Marshal(trialRequest{Files: files, Budget: budget, Memory: int64(limits.memory)})
		if err != nil {
			return nil, fmt.Errorf("trying the policies: %w", err)
		}
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = []string{"GOTRACEBACK=none", "GOMAXPROCS=2"}
		cmd.Stdin = bytes.NewReader(request)
		var stdout, stderr limitedBuffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		cmd.WaitDelay = 5 * time.Second
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("starting a child to try the policies in: %w: %w", gate.ErrResource, err)
		}
		return limits.result(ctx, cmd.Wait(), stdout.Bytes(), stderr.String())
	}
}

// result explains how the child ended.
func (l trialLimits) result(ctx context.Context, waited error, stdout []byte, stderr string) (warnings Problems, err error) {
	var exit *exec.ExitError
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return nil, fmt.Errorf("the policies did not compile and decide four samples within %s and are refused: %w", l.timeout, gate.ErrInvalid)
	case ctx.Err() != nil:
		return nil, fmt.Errorf("trying the policies: %w: %w", gate.ErrTimeout, ctx.Err())
	case errors.As(waited, &exit) && (exit.ExitCode() == exitMemory || strings.Contains(stderr, "out of memory")):
		return nil, fmt.Errorf("the policies use more than %s of memory on a sample and are refused; look for a rule that builds large values: %w", l.memory, gate.ErrInvalid)
	case waited != nil:
		return nil, fmt.Errorf("the policies made the child that tried them end with %q and are refused: %s: %w",
			waited.Error(), gate.Printable(firstLine(stderr), 200), gate.ErrInvalid)
	}
	var answer trialAnswer
	if err := json.Unmarshal(stdout, &answer); err != nil {
		return nil, fmt.Errorf("reading the answer of the child that tried the policies: %w: %w", gate.ErrInvalid, err)
	}
	switch {
	case len(answer.Problems) > 0:
		return nil, answer.Problems
	case answer.Failure != "":
		return nil, fmt.Errorf("%s: %w", answer.Failure, gate.ErrInvalid)
	}
	return answer.Warnings, nil
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}

// limitedBuffer keeps the first trialOutput bytes and takes the rest.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	if room := trialOutput - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// TrialMain is the child of [ChildTrial]: it reads the candidate from stdin,
// writes its answer to stdout and returns the exit code. It limits the memory
// of its process for good, so nothing else may run in it.
func TrialMain(stdin io.Reader, stdout io.Writer) int {
	var request trialRequest
	if err := json.NewDecoder(stdin).Decode(&request); err != nil {
		fmt.Fprintf(os.Stderr, "policy-trial: reading the candidate: %v\n", err)
		return 1
	}
	stop := limitMemory(request.Memory, func() { os.Exit(exitMemory) })
	defer stop()
	var answer trialAnswer
	set, err := CompileInForce(request.Files)
	if err != nil {
		if !errors.As(err, &answer.Problems) {
			answer.Failure = err.Error()
		}
	} else if misprints, err := set.try(request.Budget); err != nil {
		answer.Failure = err.Error()
	} else {
		answer.Warnings = append(set.Warnings(), set.Warnings().others(misprints)...).sorted()
	}
	if err := json.NewEncoder(stdout).Encode(answer); err != nil {
		fmt.Fprintf(os.Stderr, "policy-trial: writing the answer: %v\n", err)
		return 1
	}
	return 0
}

// trialPatience is how many times the budget a sample may take by the clock. The
// budget itself is held against the processor's time: a server that starts on a
// busy machine must not refuse rules that are quick.
const trialPatience = 10

// try evaluates the samples. What a rule says is of no interest; that it gives
// a well-typed answer in time is. misprints are texts that read "%!…".
func (s *Set) try(budget time.Duration) (misprints Problems, err error) {
	if budget <= 0 {
		budget = DefaultBudget
	}
	var mu sync.Mutex // an evaluation may outlive its budget
	note := func(p Problem) error {
		mu.Lock()
		defer mu.Unlock()
		if len(misprints) < maxProblems {
			misprints = append(misprints, p)
		}
		return nil
	}
	for _, sample := range trialSamples() {
		pool := newPool(1, trialPatience*budget)
		input := sample.input()
		began := processorTime()
		_, err := pool.do(context.Background(), func(ctx context.Context) ([]gate.Reason, error) {
			return s.eval(withCare(ctx, note), input)
		})
		if processorTime()-began > budget {
			err = fmt.Errorf("the rules took longer than %s of processor time: %w", budget, gate.ErrPolicyFailed)
		}
		if err != nil {
			return nil, fmt.Errorf("trying the policies on %s: %w", sample.name, err)
		}
	}
	return misprints.sorted(), nil
}
