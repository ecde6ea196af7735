package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/digestgate/digestgate/gate/admission"
	"github.com/digestgate/digestgate/gate/listener"
)

const (
	// grace is how long running work may continue after a signal; Kubernetes
	// sends SIGKILL after 30 s.
	grace = 20 * time.Second
	// lastRequests is how long requests may take that are under way when the
	// listeners close: what an API server waits for a review.
	lastRequests = admission.DefaultTimeout
)

func NewServeCommand(o *Options) *cobra.Command {
	var roles []string
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the servers and the worker (the configured roles)",
		Long:    "Run the servers and the worker: what the key roles, or --roles, names.\n\nSeveral processes share the work when they share a store on Redis, whatever the roles\nof each. With the embedded SQLite store one process does everything.",
		Example: "  digestgate serve -c config.yaml --roles webhooks,api,admission,scheduler",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("roles") {
				o.fixed = append(o.fixed, fixedKey{"--roles", "roles", roles})
			}
			return serve(cmd, o)
		},
	}
	cmd.Flags().StringSliceVar(&roles, "roles", nil, "what this process does, separated by commas: "+strings.Join(allRoles(), ", ")+" (key roles)")
	return cmd
}

func NewWorkerCommand(o *Options) *cobra.Command {
	return &cobra.Command{
		Use:   "worker",
		Short: "Run only the queue worker",
		Long:  "Run only the queue worker, with the private listener. It shares the store with the servers, so that with the embedded SQLite store, which one process uses, digestgate serve does the work instead.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.fixed = append(o.fixed, fixedKey{"digestgate worker", "roles", []string{RoleWorker}})
			return serve(cmd, o)
		},
	}
}

func serve(cmd *cobra.Command, o *Options) (err error) {
	ctx, source, began := cmd.Context(), o.Source(), time.Now()
	log, flush := o.serverLog(cmd.ErrOrStderr())
	defer flush()
	read := func() *loaded {
		l := source.Read()
		l.openFiles()
		return l
	}
	// From here on SIGHUP does not end the process.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	defer signal.Stop(signals)
	watch := newConfigWatch(source.File)
	l := read()
	if err := l.Places.Err(); err != nil {
		return ConfigError(err)
	}
	l.Warn()
	l.sayStart(log, o.Version, source.File)
	a, err := New(ctx, l.Config, log, o.Version)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	s, err := a.Start(ctx)
	if err != nil {
		return err
	}
	a.saveMemory()
	log.Info("digestgate serves", "duration", time.Since(began).Round(time.Millisecond))
	if a.Token.Created {
		log.Info("admin token made", "file", a.Token.Path)
		// Only a person gets to see the token itself, and only once.
		if out, ok := cmd.OutOrStdout().(*os.File); ok && isTerminal(out) {
			fmt.Fprintf(out, "admin token (shown once, kept in %s): %s\n", a.Token.Path, a.Token.Value)
		}
	}
	newReloader(a, read, l.Config).run(ctx, signals, watch)
	delay := a.shutdownDelay(ctx)
	log.Info("stopping", "cause", context.Cause(ctx), "stillServing", delay, "grace", grace)
	return s.drain(delay)
}

func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Running is a started process: its listeners and background work.
type Running struct {
	log *slog.Logger
	// rest lets nothing new begin that nobody waits for; cancel also ends what
	// the listeners need to answer.
	rest, cancel context.CancelFunc
	stopping     *atomic.Bool
	work         sync.WaitGroup
	Servers      []*http.Server
	// Addresses by the name of the listener: http, webhooks, admission,
	// private, debug.
	Addresses map[string]net.Addr
}

// Start opens every listener before anything is served, so that a port in use
// is an error at once.
func (a *App) Start(ctx context.Context) (*Running, error) {
	follow, cancel := context.WithCancel(context.WithoutCancel(ctx))
	work, rest := context.WithCancel(follow)
	s := &Running{log: a.Log, rest: rest, cancel: cancel, stopping: &a.stopping, Addresses: map[string]net.Addr{}}
	handlers, err := a.handlers()
	if err == nil {
		if a.keeper != nil {
			a.awaitCallers(ctx)
		}
		err = s.listen(handlers)
	}
	if err != nil {
		cancel()
		return nil, errors.Join(err, s.Stop())
	}
	a.follow(follow, s)
	a.work(work, s)
	return s, nil
}

// handler is what one listener serves; tls is nil for plain HTTP.
type handler struct {
	name    string
	address string
	serve   http.Handler
	tls     *tls.Config
	server  *http.Server // nil: one with the usual limits
	// connections is how many the listener keeps; more make room for each other.
	connections int
}

const (
	// publicConnections is far above what registries, people and a proxy in
	// front hold open, and 10 MiB in memory.
	publicConnections = 256
	// privateConnections is for probes and collectors of metrics.
	privateConnections = 64
	// publicStreams is how many requests one connection of HTTP/2 may have.
	publicStreams = 100
)

func (s *Running) listen(handlers []handler) error {
	type open struct {
		handler
		listener net.Listener
	}
	var opened []open
	for _, h := range handlers {
		l, err := net.Listen("tcp", h.address)
		if err != nil {
			for _, o := range opened {
				o.listener.Close()
			}
			return fmt.Errorf("listening (listen.%s): %w", h.name, err)
		}
		s.Addresses[h.name] = l.Addr()
		opened = append(opened, open{h, l})
	}
	for _, o := range opened {
		server := o.server
		if server == nil {
			server = s.newServer(o.handler)
		}
		l := listener.Bound(server, o.connections).Listen(o.listener)
		s.Servers = append(s.Servers, server)
		s.log.Info("listening", "listener", o.name, "address", o.listener.Addr().String(), "tls", o.tls != nil)
		s.work.Go(func() {
			var err error
			if o.tls != nil {
				err = server.ServeTLS(l, "", "")
			} else {
				err = server.Serve(l)
			}
			if !errors.Is(err, http.ErrServerClosed) {
				s.log.Error("serving", "listener", o.name, "error", err)
			}
		})
	}
	return nil
}

// newServer bounds how long a slow client may hold a connection; 10 s and 30 s
// are what Flux's receivers use.
func (s *Running) newServer(h handler) *http.Server {
	return &http.Server{
		Handler: h.serve, TLSConfig: h.tls,
		ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		HTTP2:    listener.HTTP2(publicStreams),
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// drain stops without refusing anybody: for delay everything is served on, while
// /readyz says that others should be asked and each answer closes its
// connection. Callers that come back find another replica.
func (s *Running) drain(delay time.Duration) error {
	s.stopping.Store(true)
	s.rest() // workers claim nothing more and have a grace of their own
	time.Sleep(delay)
	return s.Stop()
}

// Stop ends in two steps: refuse new work and let requests and jobs finish,
// then cancel what is left.
func (s *Running) Stop() error {
	s.stopping.Store(true)
	s.rest()
	bounded, done := context.WithTimeout(context.Background(), lastRequests)
	defer done()
	var errs []error
	var wg sync.WaitGroup
	var mu sync.Mutex
	for _, server := range s.Servers {
		wg.Go(func() {
			err := server.Shutdown(bounded)
			if err != nil {
				err = errors.Join(err, server.Close())
			}
			mu.Lock()
			defer mu.Unlock()
			errs = append(errs, err)
		})
	}
	wg.Wait()
	s.cancel()
	s.work.Wait()
	return errors.Join(errs...)
}

// shutdownDelay is how long to serve on after ctx has ended: as configured when
// others are to take over, else not at all. Nobody calls a process that only
// works.
func (a *App) shutdownDelay(ctx context.Context) time.Duration {
	if !toldToStop(ctx) || !a.has(RoleAdmission, roleWebhooks, roleAPI) {
		return 0
	}
	return a.Config.Admission.ShutdownDelay
}

// closing closes each connection after its next answer once the process stops:
// with "Connection: close" of HTTP/1, with GOAWAY of HTTP/2, into which net/http
// turns that header. No request is lost by it, because the client hears of it
// before it sends another.
func (a *App) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.stopping.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
