package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/certificate"
	"github.com/digestgate/digestgate/gate/listener"
)

// alwaysAllow serves reviews on a free port with the same TLS and HTTP/2 as admission and
// answers each with yes; dir holds the certificate. It prints its address and ends with
// ctx.
func alwaysAllow(ctx context.Context, dir string, out io.Writer) error {
	log := slog.New(slog.DiscardHandler)
	served, err := certificate.New(certificate.Options{DataDir: dir, Names: []string{"127.0.0.1"}, Log: log, Now: time.Now})
	if err != nil {
		return err
	}
	// As of ours: a connection on which nothing was served is read slowly.
	s := admission.NewServer(listener.Serving(http.HandlerFunc(allow)), served, log)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(out, l.Addr())
	go func() {
		<-ctx.Done()
		s.Close()
	}()
	if err := s.ServeTLS(listener.Bound(s, admission.MaxConnections).Listen(l), "", ""); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// allow reads a review as far as the answer needs it.
func allow(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var review struct {
		Request struct{ UID string }
	}
	if err != nil || json.Unmarshal(body, &review) != nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":%q,"allowed":true}}`, review.Request.UID)
}

// startAlwaysAllow starts that server as a process of its own, with the certificate of a
// digestgate, and returns its address.
func startAlwaysAllow(dir string) (*process, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	address := make(chan string, 1)
	p, err := start(alwaysAllowName, exec.Command(self, alwaysAllowName, dir), func(text string) {
		select {
		case address <- text:
		default:
		}
	})
	if err != nil {
		return nil, "", err
	}
	select {
	case a := <-address:
		return p, a, nil
	case <-p.done:
		return nil, "", fmt.Errorf("starting the always-allow server: %w", errEnded)
	case <-time.After(30 * time.Second):
		p.stop()
		return nil, "", fmt.Errorf("starting the always-allow server: it printed no address within 30 s")
	}
}
