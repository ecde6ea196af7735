package document

import (
	"encoding"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

func (d *Document) scalar(n *yaml.Node, v reflect.Value, path string) {
	tag := n.ShortTag()
	if n.Kind == yaml.ScalarNode && !strings.HasPrefix(tag, "!!") {
		d.wrong(n, path, "the tag %s has no meaning here; remove it", quote(tag))
		return
	}
	text, isText := v.Addr().Interface().(encoding.TextUnmarshaler)
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		d.duration(n, v, path)
	case isText:
		d.size(n, v, text, path)
	case v.Kind() == reflect.String:
		d.text(n, v, path)
	case v.Kind() == reflect.Bool:
		var b bool
		if tag != "!!bool" || n.Decode(&b) != nil {
			d.wrong(n, path, "want true or false, got %s", kindOf(n))
			return
		}
		v.SetBool(b)
	case v.CanInt():
		d.integer(n, v, path)
	default:
		panic("document: no value is read into a " + v.Type().String())
	}
}

func (d *Document) text(n *yaml.Node, v reflect.Value, path string) {
	switch {
	case n.Kind != yaml.ScalarNode:
		d.wrong(n, path, "want one text, got %s", kindOf(n))
	case n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp":
		d.wrong(n, path, "%s is %s, not a text; if it is meant as one, put it in quotes: %s", shorten(n.Value), strings.Replace(nameOf(n), "the", "a", 1), quote(n.Value))
	default:
		v.SetString(n.Value)
	}
}

func (d *Document) integer(n *yaml.Node, v reflect.Value, path string) {
	var i int64
	var f float64
	switch tag := n.ShortTag(); {
	case n.Kind == yaml.ScalarNode && tag == "!!int" && n.Decode(&i) == nil:
	case n.Kind == yaml.ScalarNode && tag == "!!float" && n.Decode(&f) == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53:
		i = int64(f) // 1e3
	case n.Kind == yaml.ScalarNode && tag == "!!str" && isNumber(n.Value):
		d.wrong(n, path, "%q is in quotes; want a whole number: %s", n.Value, n.Value)
		return
	default:
		d.wrong(n, path, "want a whole number, got %s", kindOf(n))
		return
	}
	if v.OverflowInt(i) {
		d.wrong(n, path, "%d is too large", i)
		return
	}
	v.SetInt(i)
}

var days = regexp.MustCompile(`^(\d{1,6})\s*(d|days?|w|weeks?)$`)

func (d *Document) duration(n *yaml.Node, v reflect.Value, path string) {
	const want = "want a duration with a unit, such as 30s, 10m or 6h"
	if n.Kind != yaml.ScalarNode {
		d.wrong(n, path, "%s; got %s", want, kindOf(n))
		return
	}
	if tag := n.ShortTag(); tag == "!!int" || tag == "!!float" {
		var f float64
		if n.Decode(&f) != nil || f != 0 {
			d.wrong(n, path, "%s has no unit; %s", shorten(n.Value), want)
			return
		}
		v.SetInt(0)
		return
	}
	parsed, err := time.ParseDuration(n.Value)
	if err == nil {
		v.SetInt(int64(parsed))
		return
	}
	if m := days.FindStringSubmatch(n.Value); m != nil {
		hours, _ := strconv.Atoi(m[1])
		if hours *= 24; strings.HasPrefix(m[2], "w") {
			hours *= 7
		}
		d.wrong(n, path, "%s: days and weeks are not units; write %dh", quote(n.Value), hours)
		return
	}
	d.wrong(n, path, "%s is not a duration; %s", quote(n.Value), want)
}

// size is what parses itself. A whole number is taken as it is.
func (d *Document) size(n *yaml.Node, v reflect.Value, text encoding.TextUnmarshaler, path string) {
	var i int64
	switch {
	case n.Kind != yaml.ScalarNode:
		d.wrong(n, path, "want a size with a unit, such as 512MiB; got %s", kindOf(n))
	case n.ShortTag() == "!!int" && v.CanInt() && n.Decode(&i) == nil:
		v.SetInt(i)
	case n.ShortTag() != "!!str" || text.UnmarshalText([]byte(n.Value)) != nil:
		d.wrong(n, path, "%s is not a size; want a whole number with a unit, such as 512MiB", quote(n.Value))
	}
}

func isNumber(s string) bool { _, err := strconv.ParseInt(s, 10, 64); return err == nil }

// kindOf says in words what stands there.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return kindOf(n.Alias)
	}
	if n.ShortTag() == "!!null" {
		return "nothing"
	}
	return nameOf(n) + " " + quote(n.Value)
}

func nameOf(n *yaml.Node) string {
	switch n.ShortTag() {
	case "!!int", "!!float":
		return "the number"
	case "!!bool":
		return "the truth value"
	}
	return "the text"
}
