package stock

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/digestgate/digestgate/gate"
)

// Day is the generation of day n, from 1 on: each is the one before with what one day's
// advisories change, by [DailyPackages]. Unlike the other generations they withdraw
// vulnerabilities, bring withdrawn ones back and grade some again. Every tenth day one
// package gets a critical vulnerability with a fix, for which the starter set of policies
// denies; it is withdrawn four days later.
func Day(n int) Generation { return Generation(dayPrefix + strconv.Itoa(n)) }

// DailyPackages is the share of all packages of which a day's generation changes something.
// openEuler, whose advisories can be counted, has published up to 1,900 in a year for some
// 4,000 source packages, which is 0.13 % a day; libraries are added to that.
const DailyPackages = 0.002

const (
	dayPrefix     = "day-"
	denyEvery     = 10 // days
	deniedFor     = 4  // days
	daysAreSeeded = "day %d of the advisories"
)

// day is the number of a generation of [Day].
func (g Generation) day() (n int, ok bool) {
	text, ok := strings.CutPrefix(string(g), dayPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	return n, err == nil
}

// calendar is what the advisories have come to since the first generation.
type calendar struct {
	*Stock
	news      map[*product][]issue
	listed    []*product // that have news, in the order in which they got some
	withdrawn []withdrawn
	denying   withdrawn
}

// withdrawn is an issue that no generation has any more, for now.
type withdrawn struct {
	of    *product
	issue issue
}

// daily are the vulnerabilities that day n has and the first generation has not.
func (s *Stock) daily(n int) map[*product][]issue {
	c := calendar{Stock: s, news: map[*product][]issue{}}
	all := s.products()
	for day := 1; day <= n; day++ {
		c.pass(day, all)
	}
	return c.news
}

// pass is one day.
func (c *calendar) pass(day int, all []*product) {
	r := c.random(fmt.Sprintf(daysAreSeeded, day))
	number := func() string { return fmt.Sprintf("CVE-2027-%05d", 10000+r.IntN(1_000_000)) }
	for range max(int(float64(len(all))*DailyPackages), 1) {
		switch kind := r.IntN(8); {
		case kind == 0 && len(c.withdrawn) > 0:
			last := c.withdrawn[len(c.withdrawn)-1]
			c.withdrawn = c.withdrawn[:len(c.withdrawn)-1]
			c.publish(last.of, last.issue)
		case kind <= 2 && len(c.listed) > 0:
			of := c.listed[r.IntN(len(c.listed))]
			if list := c.news[of]; len(list) > 0 && list[len(list)-1].severity != gate.SeverityCritical {
				c.withdrawn = append(c.withdrawn, withdrawn{of, list[len(list)-1]})
				c.news[of] = list[: len(list)-1 : len(list)-1]
			}
		case kind == 3 && len(c.listed) > 0:
			of := c.listed[r.IntN(len(c.listed))]
			for i := range c.news[of] {
				c.news[of][i].severity = regraded(c.news[of][i].severity)
				c.news[of][i].vector = vectors[c.news[of][i].severity]
			}
		default:
			i := c.newIssue(number(), r, never)
			if i.severity == gate.SeverityCritical || i.severity == gate.SeverityUnknown {
				i.severity, i.vector = gate.SeverityMedium, vectors[gate.SeverityMedium]
			}
			i.published = c.on(day)
			c.publish(all[r.IntN(len(all))], i)
		}
	}
	if day%denyEvery == deniedFor && c.denying.of != nil {
		of := c.denying.of
		c.news[of] = slices.DeleteFunc(slices.Clone(c.news[of]), func(i issue) bool { return i.id == c.denying.issue.id })
		c.denying = withdrawn{}
	}
	if day%denyEvery == 0 {
		i := c.newIssue(number(), r, distant)
		i.severity, i.vector, i.published = gate.SeverityCritical, vectors[gate.SeverityCritical], c.on(day)
		c.denying = withdrawn{all[r.IntN(len(all))], i}
		c.publish(c.denying.of, i)
	}
}

func (c *calendar) on(day int) time.Time { return c.o.Now.AddDate(0, 0, day) }

func (c *calendar) publish(of *product, i issue) {
	if _, known := c.news[of]; !known {
		c.listed = append(c.listed, of)
	}
	c.news[of] = append(slices.Clone(c.news[of]), i)
}

// regraded is another severity than s; critical and what it cannot be stays.
func regraded(s gate.Severity) gate.Severity {
	switch s {
	case gate.SeverityHigh:
		return gate.SeverityMedium
	case gate.SeverityMedium:
		return gate.SeverityLow
	case gate.SeverityLow:
		return gate.SeverityHigh
	}
	return s
}

// changedOn are the products of which a day has other vulnerabilities than the day before.
func (s *Stock) changedOn(day int) (out []*product) {
	before, after := s.daily(day-1), s.daily(day)
	for _, p := range s.products() {
		if !slices.Equal(before[p], after[p]) {
			out = append(out, p)
		}
	}
	return out
}
