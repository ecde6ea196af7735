//go:build goexperiment.jsonv2

package child

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// lateConn is one whose Write returns long after the worker has answered, as
// it does where there is no processor to spare.
type lateConn struct{ net.Conn }

func (c lateConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	time.Sleep(150 * time.Millisecond) // the lateness is what is tested; http.Transport bears 50 ms
	return n, err
}

// TestOneConnection: all that a child asks goes over the connection that it
// has inherited, however late it is, and although it leaves answers unread.
func TestOneConnection(t *testing.T) {
	var asked []string
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		asked = append(asked, fmt.Sprintf("%s %s %t", r.Method, r.URL.Path, len(body) > 0))
		fmt.Fprintf(w, `{"version":%d}%s`, protocol.Version, strings.Repeat(" ", 1<<20))
	}))
	defer worker.Close()
	conn, err := net.Dial("tcp", worker.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	p := newParent(lateConn{conn})
	if u, err := p.unit(); err != nil || u.Version != protocol.Version {
		t.Fatalf("the unit: %+v, %v", u, err)
	}
	layer, err := p.layer(0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(layer, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := layer.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := p.config(); err != nil || len(b) <= 1<<20 {
		t.Fatalf("the configuration: %d bytes, %v", len(b), err)
	}
	if err := p.send(protocol.Result{Version: protocol.Version}); err != nil {
		t.Fatal(err)
	}
	want := []string{"GET " + protocol.PathUnit + " false", "GET " + protocol.PathLayer + "0 false", "GET " + protocol.PathConfig + " false", "POST " + protocol.PathResult + " true"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
