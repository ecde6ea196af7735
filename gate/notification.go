package gate

import "time"

// NotificationTarget is a target of notifications as it is shown: without its secrets, of
// its address only the host.
type NotificationTarget struct {
	NotificationSettings
	// Source is "file" for one of the configuration file, "api" for one set at run time.
	Source string `json:"source"`
	// Address is the host that it is reached at, "" when that is not known.
	Address string `json:"address,omitempty"`
	// Signed: messages are signed with a secret.
	Signed bool `json:"signed,omitempty"`
	// Problem says why it cannot be used; "" when it can.
	Problem string `json:"problem,omitempty"`
	// Gathering counts the images of the message that is being gathered, Waiting the
	// messages that wait to be delivered, Oldest is when the first of them was made.
	Gathering int       `json:"gathering"`
	Waiting   int       `json:"waiting"`
	Oldest    time.Time `json:"oldest,omitzero"`
	NextTryAt time.Time `json:"nextTryAt,omitzero"`
	// LastProblem is why the last try failed, "" when it did not.
	LastProblem string `json:"lastProblem,omitempty"`
	Delivered   int64  `json:"delivered"` // messages, since the target exists
	GivenUp     int64  `json:"givenUp"`
}

// NotificationSettings are those of a target that may be shown.
type NotificationSettings struct {
	Name         string                    `json:"name" minLength:"1" maxLength:"63" doc:"lower-case letters, digits and hyphens"`
	Type         string                    `json:"type" minLength:"1" maxLength:"40" doc:"webhook, cloudevents, slack, dingtalk, feishu, wecom, teams or mail"`
	Events       []string                  `json:"events,omitempty" maxItems:"20" doc:"verdicts, new, fixed, quota, stale; empty: all"`
	OnlyDenied   bool                      `json:"onlyDenied,omitempty" doc:"report only verdicts that flip to deny"`
	MinSeverity  string                    `json:"minSeverity,omitempty" maxLength:"20" doc:"the lowest severity of findings"`
	OnlyFixable  bool                      `json:"onlyFixable,omitempty" doc:"only findings with a fixed version"`
	FirstScans   bool                      `json:"firstScans,omitempty" doc:"report findings of first scans too"`
	Registries   []string                  `json:"registries,omitempty" maxItems:"100" doc:"names of registries; empty: all"`
	Repositories []string                  `json:"repositories,omitempty" maxItems:"100" doc:"patterns of repositories; empty: all"`
	Running      bool                      `json:"running,omitempty" doc:"only images that admission was asked for lately"`
	Gather       string                    `json:"gather,omitempty" maxLength:"20" doc:"how long changes are gathered for one message, such as 5m"`
	MaxAge       string                    `json:"maxAge,omitempty" maxLength:"20" doc:"age at which an undelivered message is given up, such as 24h"`
	Template     string                    `json:"template,omitempty" maxLength:"65536" doc:"a template; empty: the shipped template"`
	Mail         *NotificationMailSettings `json:"mail,omitempty" doc:"for the type mail"`
}

// NotificationMailSettings are how mail is sent.
type NotificationMailSettings struct {
	Server           string   `json:"server" maxLength:"300" doc:"host:port"`
	TLS              string   `json:"tls,omitempty" maxLength:"20" doc:"starttls (the default), tls or none"`
	Username         string   `json:"username,omitempty" maxLength:"300"`
	From             string   `json:"from" maxLength:"300"`
	To               []string `json:"to" maxItems:"20"`
	ClearCredentials bool     `json:"clearCredentials,omitempty" doc:"the password may be sent without TLS"`
}

// NotificationRequest sets a target. Its secrets are never answered.
type NotificationRequest struct {
	NotificationSettings
	URL      string `json:"url,omitempty" maxLength:"2048" doc:"the address of the webhook, a secret"`
	Secret   string `json:"secret,omitempty" maxLength:"1024" doc:"the secret that signs messages"`
	Password string `json:"password,omitempty" maxLength:"1024" doc:"the password of mail.username"`
	CA       string `json:"ca,omitempty" maxLength:"262144" doc:"certificate authorities (PEM) that the target's certificate is checked with"`
}

// NotificationDelivery is one message to one target, and what became of it.
type NotificationDelivery struct {
	ID     string `json:"id"`
	Target string `json:"target"`
	Type   string `json:"type"`
	Title  string `json:"title"`
	Test   bool   `json:"test,omitempty"`
	// At is the time of the first try, TriedAt of the last.
	At       time.Time `json:"at"`
	TriedAt  time.Time `json:"triedAt"`
	Attempts int       `json:"attempts"`
	// Outcome is delivered, waiting (it is tried again), given up, or failed (a test).
	Outcome string `json:"outcome"`
	// Status is that of HTTP or SMTP, 0 when there was no answer.
	Status    int   `json:"status"`
	LatencyMS int64 `json:"latencyMS"`
	// Reason says why it was not delivered. It has nothing of an answer's body.
	Reason string `json:"reason,omitempty"`
	// Kept: the message is kept and can be sent again.
	Kept bool `json:"kept"`
}
