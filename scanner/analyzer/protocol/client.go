package protocol

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// Client is the child's end of the connection. Requests go one after the other
// over the one connection, each after the body of the answer before it is
// closed. It does without http.Transport, which gives a connection up when its
// own goroutine is late by 50 ms, on a busy machine
// (maxWriteWaitBeforeConnReuse), and there is no other one.
type Client struct {
	conn    net.Conn
	answers *bufio.Reader
}

// NewClient asks over a connection.
func NewClient(conn net.Conn) *Client { return &Client{conn, bufio.NewReader(conn)} }

// Ask makes a request. Closing the body of the answer reads its rest. Errors are
// those of the connection, which is of no use afterwards.
func (c *Client) Ask(method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequest(method, "http://parent"+path, body)
	if err != nil {
		return nil, err
	}
	if err := req.Write(c.conn); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.answers, req)
}
