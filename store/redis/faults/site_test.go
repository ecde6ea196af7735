package faults_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/digestgate/digestgate/store/redis/redistest"
)

// site is the servers of a run, and what can be done to them.
type site struct {
	name   string
	url    string   // past all proxies
	urls   []string // of the processes, in turn
	faults []fault
	heal   func() error
	client redis.UniversalClient
}

// fault breaks something, and mends it before it returns.
type fault struct {
	name string
	run  func(n *nemesis) error
}

func plainSite(t *testing.T) *site {
	// "no" leaves the disk to the system: a killed process has lost nothing, and no
	// step waits for an fsync.
	server := redistest.Plain(t, redistest.Options{AOF: "no"})
	s := &site{name: "plain", url: server.URL(), client: server.Client(t)}
	var proxies []*redistest.FaultProxy
	for range 2 {
		p := redistest.Proxy(t, server.Addr())
		proxies = append(proxies, p)
		s.urls = append(s.urls, "redis://"+p.Addr()+"/0")
	}
	s.heal = func() error {
		if !server.Running() {
			return server.Start()
		}
		return nil
	}
	proxied := func(name string, lasts time.Duration, begin func(n *nemesis, p *redistest.FaultProxy)) fault {
		return fault{name, func(n *nemesis) error {
			p := proxies[n.rand.IntN(len(proxies))]
			begin(n, p)
			n.wait(lasts)
			return p.Heal()
		}}
	}
	s.faults = []fault{
		{"server killed, data kept", func(*nemesis) error {
			if err := server.Kill(); err != nil {
				return err
			}
			return server.Start()
		}},
		{"server killed, last second lost", func(n *nemesis) error {
			return n.losing(func() error {
				snapshot, err := server.Snapshot()
				if err != nil {
					return err
				}
				n.wait(time.Second)
				if err := server.Kill(); err != nil {
					return err
				}
				if err := server.Restore(snapshot); err != nil {
					return err
				}
				return server.Start()
			})
		}},
		{"server stalled", func(n *nemesis) error {
			if err := server.Pause(); err != nil {
				return err
			}
			n.wait(time.Second)
			return server.Resume()
		}},
		proxied("network cut", 800*time.Millisecond, func(_ *nemesis, p *redistest.FaultProxy) { p.Cut() }),
		proxied("network black hole", time.Second, func(_ *nemesis, p *redistest.FaultProxy) { p.Blackhole() }),
		proxied("network late", 1200*time.Millisecond, func(n *nemesis, p *redistest.FaultProxy) {
			p.Delay(time.Duration(20+n.rand.IntN(100)) * time.Millisecond)
		}),
		proxied("network held, then all at once", 1800*time.Millisecond, func(_ *nemesis, p *redistest.FaultProxy) { p.Hold() }),
		proxied("answers lost", 600*time.Millisecond, func(n *nemesis, p *redistest.FaultProxy) { p.LoseAnswer("evalsha", 10+n.rand.IntN(40)) }),
	}
	return s
}

func sentinelSite(t *testing.T) *site {
	servers := redistest.Sentinel(t, redistest.Options{AOF: "everysec"})
	s := &site{name: "sentinel", url: servers.URL(), urls: []string{servers.URL()}, client: servers.Client(t), heal: servers.Well}
	crash := func() error {
		dead, err := servers.Crash()
		if err != nil {
			return err
		}
		return servers.Rejoin(dead)
	}
	s.faults = []fault{
		{"master killed in mid-write", func(n *nemesis) error { return n.losing(crash) }},
		{"master killed, its last second not replicated", func(n *nemesis) error {
			return n.losing(func() error {
				if err := servers.Detach(); err != nil {
					return err
				}
				n.wait(time.Second)
				return crash()
			})
		}},
		{"failover while the master takes writes", func(n *nemesis) error {
			return n.losing(func() error {
				former, err := servers.Master()
				if err != nil {
					return err
				}
				if err := servers.Failover(); err != nil {
					return err
				}
				return servers.Rejoin(former)
			})
		}},
	}
	return s
}

func clusterSite(t *testing.T) *site {
	servers := redistest.Cluster(t, redistest.Options{AOF: "everysec", Replicas: true})
	s := &site{name: "cluster", url: servers.URL(), urls: []string{servers.URL()}, client: servers.Client(t), heal: servers.Well}
	crash := func(i int) error {
		dead, err := servers.Crash(i)
		if err != nil {
			return err
		}
		if err := dead.Start(); err != nil {
			return err
		}
		return servers.Well()
	}
	s.faults = []fault{
		{"a master killed in mid-write", func(n *nemesis) error {
			return n.losing(func() error { return crash(n.rand.IntN(3)) })
		}},
		{"a master killed, its last second not replicated", func(n *nemesis) error {
			return n.losing(func() error {
				i := n.rand.IntN(3)
				if err := servers.Detach(i); err != nil {
					return err
				}
				n.wait(time.Second)
				return crash(i)
			})
		}},
		{"a shard failed over in good order", func(n *nemesis) error {
			return n.losing(func() error { return servers.Failover(n.rand.IntN(3)) })
		}},
	}
	return s
}
