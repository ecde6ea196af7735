package storetest

import (
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/store"
)

func key(tag string) gate.TagKey { return gate.TagKey{Location: app, Tag: tag} }

func (e *env) tag(tag string) (gate.TagMapping, bool) {
	e.Helper()
	res, err := e.s.Read(e.ctx, gate.ReadRequest{Tags: []gate.TagKey{key(tag)}})
	e.no(err)
	m, ok := res.Tags[key(tag)]
	return m, ok
}

func (e *env) putTag(tag string, d gate.Digest, readAt time.Time) gate.TagMapping {
	e.Helper()
	m, err := e.s.PutTag(e.ctx, key(tag), d, readAt, "")
	e.no(err)
	stored, _ := e.tag(tag)
	if diff := cmp.Diff(m, stored); diff != "" {
		e.Fatalf("PutTag answered another mapping than the stored one:\n%s", diff)
	}
	return m
}

var tagCases = []testCase{
	{"unknown_tag", func(e *env) {
		if m, ok := e.tag("v1"); ok {
			e.Fatalf("got %+v", m)
		}
	}},
	{"read_is_stored", func(e *env) {
		m := e.putTag("v1", digest("a"), e.now())
		want := gate.TagMapping{TagKey: key("v1"), Digest: digest("a"), ReadAt: e.now()}
		if diff := cmp.Diff(want, m); diff != "" {
			e.Fatalf("mapping (-want +got):\n%s", diff)
		}
		if !m.Usable(e.now(), time.Minute) {
			e.Fatalf("a fresh mapping is not usable")
		}
	}},
	{"read_of_another_host_is_no_later_word", func(e *env) {
		put := func(d gate.Digest, at time.Time, host string) gate.TagMapping {
			m, err := e.s.PutTag(e.ctx, key("v1"), d, at, host)
			e.no(err)
			stored, _ := e.tag("v1")
			if diff := cmp.Diff(m, stored); diff != "" {
				e.Fatalf("PutTag answered another mapping than the stored one:\n%s", diff)
			}
			return m
		}
		early := e.now()
		e.advance(time.Second)
		e.no(e.s.MarkDirty(e.ctx, key("v1")))
		e.advance(time.Second)
		if m := put(digest("theirs"), e.now(), "other.example.com"); m.Host != "other.example.com" || m.Dirty {
			e.Fatalf("got %+v", m)
		}
		if m := put(digest("ours"), early, "hub.example.com"); m.Digest != digest("ours") || m.Host != "hub.example.com" || !m.ReadAt.Equal(early) || !m.Dirty {
			e.Fatalf("a read that began before the mark: got %+v, want it stored and dirty", m)
		}
		if m := put(digest("ours"), e.now(), "hub.example.com"); m.Dirty {
			e.Fatalf("a read after the mark: got %+v, want it clean", m)
		}
		if m := put(digest("earlier"), early, "hub.example.com"); m.Digest != digest("ours") {
			e.Fatalf("an earlier read of the same host: got %+v", m)
		}
	}},
	{"later_start_wins_whatever_ends_first", func(e *env) {
		early := e.now()
		e.advance(time.Second)
		late := e.now()
		e.advance(time.Second)
		e.putTag("v1", digest("new"), late)
		if m := e.putTag("v1", digest("old"), early); m.Digest != digest("new") || !m.ReadAt.Equal(late) {
			e.Fatalf("got %+v", m)
		}
		e.putTag("v2", digest("old"), early)
		if m := e.putTag("v2", digest("new"), late); m.Digest != digest("new") {
			e.Fatalf("got %+v", m)
		}
	}},
	{"dirty_until_read_after_the_mark", func(e *env) {
		before := e.now()
		e.putTag("v1", digest("a"), before)
		e.advance(time.Second)
		e.no(e.s.MarkDirty(e.ctx, key("v1")))
		m, _ := e.tag("v1")
		if !m.Dirty || !m.DirtyAt.Equal(e.now()) || m.Digest != digest("a") || m.Usable(e.now(), time.Hour) {
			e.Fatalf("got %+v", m)
		}
		if m := e.putTag("v1", digest("b"), e.now().Add(-time.Millisecond)); !m.Dirty {
			e.Fatalf("a read that started before the mark cleared it")
		}
		if m := e.putTag("v1", digest("b"), e.now()); !m.Dirty {
			e.Fatalf("a read that started at the mark cleared it")
		}
		e.advance(time.Millisecond)
		if m := e.putTag("v1", digest("c"), e.now()); m.Dirty || m.Digest != digest("c") {
			e.Fatalf("got %+v", m)
		}
	}},
	{"mark_of_an_unknown_tag", func(e *env) {
		e.no(e.s.MarkDirty(e.ctx, key("v1")))
		m, ok := e.tag("v1")
		if !ok || !m.Dirty || m.Digest != "" || m.Gone || m.Usable(e.now(), time.Hour) {
			e.Fatalf("got %+v", m)
		}
		e.advance(time.Second)
		if m := e.putTag("v1", digest("a"), e.now()); m.Dirty || m.Digest != digest("a") {
			e.Fatalf("got %+v", m)
		}
	}},
	{"gone_and_back", func(e *env) {
		e.putTag("v1", digest("a"), e.now())
		e.advance(time.Second)
		if m := e.putTag("v1", "", e.now()); !m.Gone || m.Digest != "" || m.Usable(e.now(), time.Hour) {
			e.Fatalf("got %+v", m)
		}
		e.advance(time.Second)
		if m := e.putTag("v1", digest("b"), e.now()); m.Gone || m.Digest != digest("b") {
			e.Fatalf("got %+v", m)
		}
	}},
	{"a_read_from_the_future_counts_as_now", func(e *env) {
		if m := e.putTag("v1", digest("a"), e.now().Add(time.Hour)); !m.ReadAt.Equal(e.now()) {
			e.Fatalf("got %s at %s", m.ReadAt, e.now())
		}
		e.advance(time.Second)
		if m := e.putTag("v1", digest("b"), e.now()); m.Digest != digest("b") {
			e.Fatalf("a wrong clock has frozen the tag: %+v", m)
		}
	}},
	{"nonsense_is_refused", func(e *env) {
		_, err := e.s.PutTag(e.ctx, key("v1"), "abc", e.now(), "")
		e.want(err, gate.ErrDigestInvalid)
		for _, k := range []gate.TagKey{{}, key(""), key("a\nb"), key(strings.Repeat("x", store.MaxKey))} {
			_, err := e.s.PutTag(e.ctx, k, digest("a"), e.now(), "")
			if err == nil || e.s.MarkDirty(e.ctx, k) == nil {
				e.Errorf("tag %q was accepted", k)
			}
			e.wantClassified(err)
		}
	}},
}
