//go:build goexperiment.jsonv2

package child

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
)

// parent is the worker at the other end of the inherited socket.
type parent struct{ *protocol.Client }

// connect takes over the inherited socket.
func connect() (*parent, error) {
	f := os.NewFile(protocol.Socket, "parent")
	if f == nil {
		return nil, errors.New("there is no inherited socket")
	}
	conn, err := net.FileConn(f)
	f.Close()
	if err != nil {
		return nil, fmt.Errorf("using the inherited socket: %w", err)
	}
	return newParent(conn), nil
}

func newParent(conn net.Conn) *parent {
	return &parent{protocol.NewClient(conn)}
}

func (p *parent) get(path string) (io.ReadCloser, error) {
	res, err := p.Ask(http.MethodGet, path, nil)
	if err != nil {
		return nil, fmt.Errorf("asking for %q: %w", path, err)
	}
	if res.StatusCode != http.StatusOK {
		res.Body.Close()
		return nil, fmt.Errorf("asking for %q: %s", path, res.Status)
	}
	return res.Body, nil
}

func (p *parent) unit() (protocol.Unit, error) {
	var u protocol.Unit
	body, err := p.get(protocol.PathUnit)
	if err != nil {
		return u, err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(&u); err != nil {
		return u, fmt.Errorf("reading the unit: %w", err)
	}
	return u, nil
}

// layer is the stream of a compressed layer. Draining it, also after a
// failure, lets the worker check its digest and keeps the connection usable.
func (p *parent) layer(i int) (io.ReadCloser, error) {
	return p.get(protocol.PathLayer + strconv.Itoa(i))
}

func (p *parent) config() ([]byte, error) { return p.all(protocol.PathConfig) }

func (p *parent) result(i int) ([]byte, error) { return p.all(protocol.PathResults + strconv.Itoa(i)) }

func (p *parent) all(path string) ([]byte, error) {
	body, err := p.get(path)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(body)
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", path, err)
	}
	return b, nil
}

// found hands over what is in a layer. What is over the limit is a failure.
func (p *parent) found(i int, layer *protocol.Layer) error {
	body, err := json.Marshal(layer)
	if err != nil {
		return fmt.Errorf("encoding the result: %w", err)
	}
	if len(body) > protocol.MaxResultBytes {
		return tooLarge("what was found in the layer takes %d bytes, more than %d", len(body), protocol.MaxResultBytes)
	}
	return p.post(protocol.PathFound+strconv.Itoa(i), body)
}

// send answers the unit. A result over the limit becomes a failure.
func (p *parent) send(r protocol.Result) error {
	body, err := json.Marshal(r)
	if err == nil && len(body) > protocol.MaxAnswerBytes {
		err = tooLarge("the inventory takes %d bytes, more than %d", len(body), protocol.MaxAnswerBytes)
	}
	if err != nil {
		body, err = json.Marshal(protocol.Result{Version: r.Version, Set: r.Set, Missing: r.Missing, Failure: failure(err)})
	}
	if err != nil {
		return err
	}
	return p.post(protocol.PathResult, body)
}

func (p *parent) post(path string, body []byte) error {
	res, err := p.Ask(http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("sending the result: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("sending the result: %s", gate.Printable(res.Status, 100))
	}
	return nil
}
