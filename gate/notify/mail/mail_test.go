package mail

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"mime"
	"net"
	"net/http/httptest"
	stdmail "net/mail"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/text"
	"github.com/digestgate/digestgate/gate/outbound"
)

// received is what a server has taken.
type received struct {
	mu    sync.Mutex
	users []string // that logged in, with or without TLS
	mails []string
	to    []string
	fail  *smtp.SMTPError
	login bool // it wants credentials
}

type session struct {
	*received
	conn *smtp.Conn
	ok   bool
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, secure := s.conn.TLSConnectionState()
		s.users = append(s.users, map[bool]string{true: "tls ", false: "clear "}[secure]+user)
		if s.ok = password == "correct"; !s.ok {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if s.login && !s.ok {
		return smtp.ErrAuthRequired
	}
	if s.fail != nil {
		return s.fail
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, string(b))
	return err
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// serve starts a server; how is how it is connected to.
func serve(t *testing.T, how string, r *received) (address string, roots *x509.CertPool) {
	t.Helper()
	web := httptest.NewTLSServer(nil) // for its certificate of 127.0.0.1
	defer web.Close()
	pair := web.TLS.Certificates[0]
	roots = x509.NewCertPool()
	roots.AddCert(web.Certificate())
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{received: r, conn: c}, nil }))
	server.Domain, server.AllowInsecureAuth = "localhost", true
	conf := &tls.Config{Certificates: []tls.Certificate{pair}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	switch how {
	case notify.TLSStart:
		server.TLSConfig = conf
	case notify.TLSImplicit:
		l = tls.NewListener(l, conf)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return l.Addr().String(), roots
}

func letter() notify.Letter {
	return notify.Letter{ID: "0123456789abcdef", At: time.Unix(1_800_000_000, 0), Title: "one thing", Text: "a text\n.\nwith a dot\n"}
}

func TestSend(t *testing.T) {
	for name, c := range map[string]struct {
		how, offers    string
		user, password string
		clear, noCA    bool
		want           string // what the failure says, "" for none
		wantUser       string
	}{
		"starttls":            {how: notify.TLSStart, offers: notify.TLSStart},
		"starttls_and_login":  {how: notify.TLSStart, offers: notify.TLSStart, user: "u", password: "correct", wantUser: "tls u"},
		"tls":                 {how: notify.TLSImplicit, offers: notify.TLSImplicit},
		"tls_and_login":       {how: notify.TLSImplicit, offers: notify.TLSImplicit, user: "u", password: "correct", wantUser: "tls u"},
		"wrong_password":      {how: notify.TLSImplicit, offers: notify.TLSImplicit, user: "u", password: "wrong", wantUser: "tls u", want: "refused the credentials"},
		"no_starttls_offered": {how: notify.TLSStart, offers: notify.TLSNone, user: "u", password: "correct", want: "does not offer STARTTLS"},
		"not_trusted":         {how: notify.TLSStart, offers: notify.TLSStart, noCA: true, want: "not trusted"},
		"tls_not_trusted":     {how: notify.TLSImplicit, offers: notify.TLSImplicit, noCA: true, want: "not trusted"},
		"in_clear":            {how: notify.TLSNone, offers: notify.TLSNone},
		"login_in_clear":      {how: notify.TLSNone, offers: notify.TLSNone, user: "u", password: "correct", clear: true, wantUser: "clear u"},
		"tls_to_clear":        {how: notify.TLSImplicit, offers: notify.TLSNone, want: "does not speak TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &received{login: c.user != ""}
			address, roots := serve(t, c.offers, r)
			var dialed []string
			a := notify.Access{
				Mail:     notify.Mail{Server: address, TLS: c.how, Username: c.user, From: "gate@example.com", To: []string{"a@example.com", "B <b@example.com>"}, ClearCredentials: c.clear},
				Password: c.password, TLS: &tls.Config{RootCAs: roots}, Timeout: 10 * time.Second, Dialed: func(target string) { dialed = append(dialed, target) },
			}
			if c.noCA {
				a.TLS = nil
			}
			s, err := Vendor().Open(a)
			if err != nil {
				t.Fatal(err)
			}
			answer, err := s.Send(t.Context(), letter())
			if len(dialed) != 1 || dialed[0] != address {
				t.Errorf("connections of the guard: %q, want one to %s", dialed, address)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if got := strings.Join(r.users, ","); got != c.wantUser {
				t.Errorf("logged in: %q, want %q", got, c.wantUser)
			}
			if c.want != "" {
				var f *notify.Failure
				if !errors.As(err, &f) || !strings.Contains(f.Reason, c.want) || len(r.mails) != 0 {
					t.Errorf("got %v and %d mails, want %q", err, len(r.mails), c.want)
				}
				if strings.Contains(err.Error(), "correct") || strings.Contains(err.Error(), "wrong") {
					t.Errorf("the failure tells the password: %v", err)
				}
				return
			}
			if err != nil || answer.Status != 250 || len(r.mails) != 1 || strings.Join(r.to, ",") != "a@example.com,b@example.com" {
				t.Fatalf("got %+v, %v, %d mails to %q", answer, err, len(r.mails), r.to)
			}
			m, err := stdmail.ReadMessage(strings.NewReader(r.mails[0]))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(m.Body)
			if got := m.Header.Get("Message-Id"); got != "<0123456789abcdef@example.com>" || !strings.Contains(string(body), "with a dot") || m.Header.Get("Subject") != "one thing" {
				t.Errorf("got %s", r.mails[0])
			}
		})
	}
}

// TestSend_answers: an answer of the server is its code, and never its text.
func TestSend_answers(t *testing.T) {
	for code, final := range map[int]bool{421: false, 450: false, 550: false, 552: true, 554: true} {
		r := &received{fail: &smtp.SMTPError{Code: code, Message: "s3cret of a server inside"}}
		address, _ := serve(t, notify.TLSNone, r)
		s, err := Vendor().Open(notify.Access{Mail: notify.Mail{Server: address, TLS: notify.TLSNone, From: "a@example.com", To: []string{"b@example.com"}}, Timeout: 10 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := s.Send(t.Context(), letter())
		var f *notify.Failure
		if !errors.As(err, &f) || f.Final != final || answer.Status != code || strings.Contains(f.Error(), "s3cret") {
			t.Errorf("%d: got %+v, %+v", code, answer, err)
		}
	}
}

// TestSend_hostile: nothing that a title or a text holds becomes a header or ends a mail.
func TestSend_hostile(t *testing.T) {
	r := &received{}
	address, _ := serve(t, notify.TLSNone, r)
	s, err := Vendor().Open(notify.Access{Mail: notify.Mail{Server: address, TLS: notify.TLSNone, From: "a@example.com", To: []string{"b@example.com"}}, Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	const hostile = "x\r\nBcc: victim@example.com\r\n\r\n.\r\nMAIL FROM:<x>\u202e"
	l := letter()
	l.Title, l.Text = hostile, text.Escape(text.Plain, hostile)+"\r\n.\r\nQUIT\r\n"+hostile
	if _, err := s.Send(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.mails) != 1 || len(r.to) != 1 {
		t.Fatalf("%d mails to %q", len(r.mails), r.to)
	}
	m, err := stdmail.ReadMessage(bytes.NewReader([]byte(r.mails[0])))
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	if m.Header.Get("Bcc") != "" || err != nil || strings.ContainsAny(subject, "\r\n") || !strings.Contains(subject, "victim@example.com") {
		t.Errorf("subject %q, %v; mail:\n%s", subject, err, r.mails[0])
	}
}

// TestOpen_refuses: what would send a password in clear, or nothing, is refused before
// anything is sent.
func TestOpen_refuses(t *testing.T) {
	good := notify.Access{Mail: notify.Mail{Server: "smtp.example.com:587", TLS: notify.TLSStart, From: "a@example.com", To: []string{"b@example.com"}}, Timeout: time.Second}
	if _, err := Vendor().Open(good); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*notify.Access){
		"in clear":              func(a *notify.Access) { a.Mail.TLS, a.Mail.Username, a.Password = notify.TLSNone, "u", "p" },
		"needs a password":      func(a *notify.Access) { a.Mail.Username = "u" },
		"want host:port":        func(a *notify.Access) { a.Mail.Server = "smtp.example.com" },
		"never connects":        func(a *notify.Access) { a.Mail.Server = "169.254.169.254:25" },
		"want starttls":         func(a *notify.Access) { a.Mail.TLS = "ssl" },
		"mail.to: empty":        func(a *notify.Access) { a.Mail.To = nil },
		"mail.from: empty":      func(a *notify.Access) { a.Mail.From = "" },
		"is not a mail address": func(a *notify.Access) { a.Mail.To = []string{"b"} },
		"has a line break":      func(a *notify.Access) { a.Mail.From = "a@example.com\r\nBcc: x@example.com" },
		"more than 20":          func(a *notify.Access) { a.Mail.To = make([]string, 21) },
	} {
		a := good
		change(&a)
		if _, err := Vendor().Open(a); !errors.Is(err, gate.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestSend_outbound: a server that was set at run time must fit outbound.allow.
func TestSend_outbound(t *testing.T) {
	r := &received{}
	address, _ := serve(t, notify.TLSNone, r)
	allow, err := outbound.ParseAllow([]string{"*.example.com:25"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Vendor().Open(notify.Access{
		Mail: notify.Mail{Server: address, TLS: notify.TLSNone, From: "a@example.com", To: []string{"b@example.com"}}, Timeout: 10 * time.Second, Allow: &allow,
	})
	if err != nil {
		t.Fatal(err)
	}
	var f *notify.Failure
	if _, err := s.Send(context.Background(), letter()); !errors.As(err, &f) || !strings.Contains(f.Reason, "refusing to connect") || len(r.mails) != 0 {
		t.Errorf("got %v, %d mails", err, len(r.mails))
	}
}
