// Package mail sends messages as e-mail through one server: by STARTTLS, by TLS, or in
// clear where the configuration says so. Credentials are not sent in clear unless it says
// that too. The connection is made by gate/outbound.
package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	stdmail "net/mail"
	"strconv"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/gate/notify"
	"github.com/digestgate/digestgate/gate/notify/post"
	"github.com/digestgate/digestgate/gate/notify/text"
	"github.com/digestgate/digestgate/gate/outbound"
)

const (
	// limit is of the text of a mail, which people read on a phone too.
	limit = 32 << 10
	// maxRecipients: a list of people is kept at a mail server, as an address of its own.
	maxRecipients = 20
)

// Vendor is the kind of target.
func Vendor() notify.Vendor {
	return notify.Vendor{Type: "mail", Markup: text.Plain, Template: notify.ListTemplate, Limit: limit, Mail: true, Open: open}
}

func open(a notify.Access) (notify.Sender, error) {
	host, port, err := server(a.Mail.Server)
	if err != nil {
		return nil, err
	}
	if err := check(a); err != nil {
		return nil, err
	}
	guard := outbound.NewGuard(a.Outbound(outbound.Mail, net.JoinHostPort(host, strconv.Itoa(port))))
	conf := a.TLS.Clone()
	if conf == nil {
		conf = &tls.Config{}
	}
	conf.ServerName, conf.MinVersion = host, max(conf.MinVersion, tls.VersionTLS12)
	return &sender{a, host, port, guard, conf}, nil
}

// server reads "host:port". gate.ErrInvalid: it is none.
func server(raw string) (host string, port int, err error) {
	h, p, ok := outbound.SplitHost(outbound.Endpoint(raw, ""))
	h = strings.Trim(h, "[]")
	port, err = strconv.Atoi(p)
	if !ok || h == "" || err != nil || port < 1 || port > 65535 {
		return "", 0, fmt.Errorf("mail.server: got %s, want host:port, such as smtp.example.com:587: %w", gate.Quoted(raw, 100), gate.ErrInvalid)
	}
	if why := outbound.Never(h); why != "" {
		return "", 0, fmt.Errorf("mail.server: %s: %w", why, gate.ErrInvalid)
	}
	return h, port, nil
}

// check refuses what cannot be sent, or should not be.
func check(a notify.Access) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("mail.%s: %w", fmt.Sprintf(format, args...), gate.ErrInvalid)
	}
	m := a.Mail
	switch m.TLS {
	case notify.TLSStart, notify.TLSImplicit:
	case notify.TLSNone:
		if m.Username != "" && !m.ClearCredentials {
			return bad("tls: none would send the password in clear; set tls to starttls or tls, or set clearCredentials: true")
		}
	default:
		return bad("tls: got %s, want starttls, tls or none", gate.Quoted(m.TLS, 40))
	}
	switch {
	case m.From == "":
		return bad("from: empty; give the address of the sender")
	case len(m.To) == 0:
		return bad("to: empty; give at least one address")
	case len(m.To) > maxRecipients:
		return bad("to: has %d addresses, more than %d; make a mailing list of them", len(m.To), maxRecipients)
	case (m.Username == "") != (a.Password == ""):
		return bad("username: needs a password, and a password needs it; give both or neither")
	}
	for i, to := range append([]string{m.From}, m.To...) {
		key := "from"
		if i > 0 {
			key = fmt.Sprintf("to[%d]", i-1)
		}
		if strings.ContainsAny(to, "\r\n") {
			return bad("%s: %s has a line break", key, gate.Quoted(to, 100))
		}
		if _, err := stdmail.ParseAddress(to); err != nil {
			return bad("%s: %s is not a mail address", key, gate.Quoted(to, 100))
		}
	}
	return nil
}

type sender struct {
	access notify.Access
	host   string
	port   int
	guard  *outbound.Guard
	tls    *tls.Config
}

// Address implements notify.Sender.
func (s *sender) Address() string { return net.JoinHostPort(s.host, strconv.Itoa(s.port)) }

// Close implements notify.Sender: each message has a connection of its own.
func (s *sender) Close() {}

// dial is the only way to the server.
func (s *sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.guard.DialContext(ctx, network, address)
	if err != nil || s.access.Mail.TLS != notify.TLSImplicit {
		return conn, err
	}
	secure := tls.Client(conn, s.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

func (s *sender) client() (*gomail.Client, error) {
	m := s.access.Mail
	options := []gomail.Option{
		gomail.WithPort(s.port), gomail.WithTimeout(s.access.Timeout), gomail.WithDialContextFunc(s.dial), gomail.WithTLSConfig(s.tls),
		gomail.WithHELO("digestgate.invalid"), // the name of this machine is nobody's business
	}
	mechanisms := []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin}
	switch m.TLS {
	case notify.TLSStart:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case notify.TLSImplicit:
		options = append(options, gomail.WithSSL(), gomail.WithTLSPolicy(gomail.NoTLS))
	case notify.TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
		mechanisms = []gomail.SMTPAuthType{gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlainNoEnc, gomail.SMTPAuthLoginNoEnc}
	}
	if m.Username != "" {
		options = append(options, gomail.WithUsername(m.Username), gomail.WithPassword(s.access.Password), gomail.WithOpportunisticSMTPAuth(mechanisms...))
	}
	return gomail.NewClient(s.host, options...)
}

// Send implements notify.Sender.
func (s *sender) Send(ctx context.Context, l notify.Letter) (notify.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, s.access.Timeout)
	defer cancel()
	msg, err := s.message(l)
	if err != nil {
		return notify.Answer{}, notify.NewFailure(err, true, 0, "the mail could not be written")
	}
	client, err := s.client()
	if err == nil {
		err = client.DialAndSendWithContext(ctx, msg)
	}
	if msg.IsDelivered() { // what failed afterwards is the farewell
		return notify.Answer{Status: 250}, nil
	}
	return answer(err)
}

func (s *sender) message(l notify.Letter) (*gomail.Msg, error) {
	msg := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	if err := msg.From(s.access.Mail.From); err != nil {
		return nil, err
	}
	if err := msg.To(s.access.Mail.To...); err != nil {
		return nil, err
	}
	msg.Subject(line(l.Title))
	msg.SetDateWithValue(l.At)
	_, domain, _ := strings.Cut(msg.GetFrom()[0].Address, "@")
	msg.SetMessageIDWithValue(l.ID + "@" + domain) // the same at every try: a repetition is one mail
	msg.SetGenHeader("Auto-Submitted", "auto-generated")
	msg.SetBodyString(gomail.TypeTextPlain, l.Text)
	return msg, nil
}

// line keeps a header to one line, whatever the title holds.
func line(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, s)
}

// answer says what became of a mail that was not delivered.
func answer(err error) (notify.Answer, error) {
	var sent *gomail.SendError
	var blocked *outbound.BlockedError
	switch {
	case errors.As(err, &sent) && sent.ErrorCode() > 0:
		code := sent.ErrorCode()
		return notify.Answer{Status: code}, notify.NewFailure(err, code == 552 || code == 554, 0, "the mail server answered with code %d", code)
	case errors.As(err, &blocked):
		return notify.Answer{}, notify.NewFailure(err, false, 0, "%s", blocked.Error())
	case err != nil && strings.Contains(err.Error(), "STARTTLS"):
		return notify.Answer{}, notify.NewFailure(err, false, 0, "the mail server does not offer STARTTLS, and mails are not sent in clear: set mail.tls to tls if its port uses TLS from the first byte")
	case err != nil && strings.Contains(err.Error(), "AUTH"):
		return notify.Answer{}, notify.NewFailure(err, false, 0, "the mail server refused the credentials")
	}
	return notify.Answer{}, notify.NewFailure(err, false, 0, "%s", post.Reason(err))
}
