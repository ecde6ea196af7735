// Package text makes the texts of messages: templates with a closed set of functions,
// bounded in size, output and time, whose values are escaped for the target before the
// template sees them. A template of an operator can therefore not forget it.
package text

import (
	"encoding/json"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// Markup is a way of writing texts.
type Markup string

// The markups.
const (
	Plain    Markup = "plain" // mail
	JSON     Markup = "json"  // inside the quotation marks of a JSON string
	Slack    Markup = "slack"
	Feishu   Markup = "feishu"
	Markdown Markup = "markdown" // DingTalk, WeCom, Teams: a subset without an escape that all know
)

// maxValue bounds one value; repositories have up to 255 bytes.
const maxValue = 512

// fullWidth replaces what has a meaning in chats by the same character in full width,
// which people read and no chat interprets. Mentions begin with @ or <, links and images
// with [ or <, emphasis and code with *, ~ or `, headings with #, quotations with >.
var fullWidth = strings.NewReplacer(
	"@", "＠", "<", "＜", ">", "＞", "[", "［", "]", "］", "*", "＊", "~", "～", "`", "｀", "#", "＃", "|", "｜", "\\", "＼", "&", "＆", "!", "！",
	"://", "：//", // no address becomes a link
)

// inSlack leaves &, < and > to the entities that Slack documents.
// https://docs.slack.dev/messaging/formatting-message-text#escaping
var inSlack = strings.NewReplacer(
	"@", "＠", "&", "&amp;", "<", "&lt;", ">", "&gt;", "[", "［", "]", "］", "*", "＊", "~", "～", "`", "｀", "://", "：//",
)

// inFeishu does the same with those that Feishu documents for its cards, for what they
// have an entity.
var inFeishu = strings.NewReplacer(
	"@", "＠", "&", "&#38;", "<", "&#60;", ">", "&#62;", "*", "&#42;", "~", "&#126;", "[", "&#91;", "]", "&#93;", "`", "&#96;", "#", "&#35;", "\\", "&#92;",
	"://", "：//",
)

// Escape makes a value of outside harmless in a markup: one line of printable ASCII
// characters, without control and direction characters, in which nothing is a mention,
// a link or formatting.
func Escape(m Markup, value string) string {
	value = gate.Printable(value, maxValue)
	switch m {
	case JSON:
		quoted, _ := json.Marshal(value) // also of <, > and &; a string has no error
		return string(quoted[1 : len(quoted)-1])
	case Slack:
		return edges(inSlack.Replace(value))
	case Feishu:
		return edges(inFeishu.Replace(value))
	case Markdown:
		return edges(fullWidth.Replace(value))
	}
	return value
}

// edges replaces underscores that are not between letters and digits, where they are
// emphasis; those within a word, as in python_package, are none.
func edges(s string) string {
	if !strings.Contains(s, "_") {
		return s
	}
	word := func(i int) bool {
		return i >= 0 && i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z')
	}
	var b strings.Builder
	for i := range len(s) {
		if s[i] == '_' && (!word(i-1) || !word(i+1)) {
			b.WriteString("＿")
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
