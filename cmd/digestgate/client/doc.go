// Package client is the commands that ask a running server over its API.
package client
