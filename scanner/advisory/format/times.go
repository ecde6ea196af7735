package format

import (
	"strconv"
	"strings"
	"time"
)

// layouts are the ways in which vendors write times; without a zone it is UTC.
var layouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02T15:04:05-0700", "2006-01-02 15:04:05", "2006-01-02 15:04:05 MST", "2006-01-02 15:04",
	"2006-01-02", "2006/01/02", "20060102", time.RFC1123Z, time.RFC1123, "Mon Jan _2 15:04:05 2006", "Mon Jan _2 15:04:05 MST 2006",
	"Jan 2, 2006", "2006-01",
}

// Time reads a time in any of the ways that vendors write it; the zero time for what is
// none of them; nothing is decided by it.
func Time(s string) time.Time {
	s = strings.TrimSpace(s)
	for _, l := range layouts {
		if t, err := time.Parse(l, s); err == nil {
			return t.UTC()
		}
	}
	// Seconds since 1970, as dnf writes them.
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && len(s) >= 9 && len(s) <= 11 {
		return time.Unix(n, 0).UTC()
	}
	return time.Time{}
}
