package cluster_test

import (
	"testing"

	"github.com/digestgate/digestgate/store/redis/redistest"
	"github.com/digestgate/digestgate/store/redis/servers"
)

var shared redistest.Shared

func TestMain(m *testing.M) { servers.Main(m, &shared, servers.SeveralServers) }

func TestStore(t *testing.T) {
	s := shared.Cluster(t)
	servers.Run(t, s.URL(), s.Client(t))
}
