package redistest

import (
	"strings"
	"testing"
)

func TestSentinelsPromoteTheReplica(t *testing.T) {
	t.Parallel()
	s := Sentinel(t, Options{AOF: "always", Password: "secret", SentinelPassword: "other", TLS: true})
	client := s.Client(t)
	master, err := s.Master()
	must(t, err)
	replicate(t, master, "a", "1")
	replica, err := s.Replica()
	must(t, err)

	dead, err := s.Crash()
	must(t, err)
	if dead != master || dead.Running() {
		t.Errorf("Crash killed %q, want %q", dead.Addr(), master.Addr())
	}
	if now, err := s.Master(); err != nil || now != replica {
		t.Fatalf("the replica is not master: %v", err)
	}
	if got, err := client.Get(t.Context(), "a").Result(); err != nil || got != "1" {
		t.Errorf("after the crash: %q, %v", got, err)
	}

	// What is written without the dead server reaches it when it rejoins.
	must(t, client.Set(t.Context(), "a", 2, 0).Err())
	must(t, s.Rejoin(dead))
	if err := dead.hasRole("slave"); err != nil {
		t.Errorf("the former master: %v", err)
	}
	holds(t, dead, "a", "2")
	if err := dead.Do("set", "a", 3).Err(); err == nil || !strings.HasPrefix(err.Error(), "READONLY") {
		t.Errorf("writing to the replica: %v", err)
	}
}

// TestSentinelsTakeBackTheOldMaster starts the killed master without help.
func TestSentinelsTakeBackTheOldMaster(t *testing.T) {
	t.Parallel()
	s := Sentinel(t, Options{})
	master, err := s.Master()
	must(t, err)
	replicate(t, master, "early", "1")
	must(t, s.Detach())
	must(t, master.Do("set", "late", 1).Err())
	dead, err := s.Crash()
	must(t, err)
	now, err := s.Master()
	must(t, err)
	holds(t, now, "early", "1")
	holds(t, now, "late", "")
	must(t, dead.Start())
	must(t, s.Well())
	if err := dead.hasRole("slave"); err != nil {
		t.Errorf("the former master: %v", err)
	}
}

func TestSentinelsFailOverInGoodOrder(t *testing.T) {
	t.Parallel()
	s := Sentinel(t, Options{ACL: []string{"user app on >secret ~* +@all"}})
	client := s.Client(t)
	master, err := s.Master()
	must(t, err)
	replicate(t, master, "a", "1")
	must(t, s.Failover())
	// Unless somebody helps it, the former master is one for 10 s more.
	must(t, s.Rejoin(master))
	if now, err := s.Replica(); err != nil || now != master {
		t.Errorf("the former master is not the replica: %v", err)
	}
	if now, err := s.Master(); err != nil || now == master {
		t.Errorf("the former master is master: %v", err)
	}
	if got, err := client.Get(t.Context(), "a").Result(); err != nil || got != "1" {
		t.Errorf("after the failover: %q, %v", got, err)
	}

	must(t, s.Reset())
	now, err := s.Master()
	must(t, err)
	holds(t, now, "a", "")
}
