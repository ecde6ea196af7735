package app

import (
	"net"
	"net/http"
	"strings"

	"github.com/digestgate/digestgate/gate/api"
	"github.com/digestgate/digestgate/gate/outbound"
	"github.com/digestgate/digestgate/scanner/advisory"
	"github.com/digestgate/digestgate/scanner/advisory/download"
	"github.com/digestgate/digestgate/store"
)

// downloads reports whether this process has its advisory data from repositories, or
// composes it of several sources.
func (a *App) downloads() bool {
	c := a.Config.Advisories
	return (c.Path == "" && len(c.Repositories) > 0 || len(c.Sources) > 0) && !a.Asking
}

// newRefresher makes what brings advisory data, and what tells others which generations
// are kept here.
func (a *App) newRefresher() error {
	if a.Asking {
		return nil
	}
	a.refresher = &advisory.Refresher{
		Manager: a.Advisories, Store: a.Store, Process: ProcessName(), Every: a.Config.Advisories.Refresh, Log: a.Log,
		Client: peerClient(),
	}
	if list := a.Config.Advisories.Java.Repositories; len(list) > 0 {
		var err error
		if a.refresher.JavaMirrors, err = a.newMirrors(a.refresher, download.JavaIndex(), list); err != nil {
			return err
		}
	}
	if !a.downloads() {
		return nil
	}
	if c := a.Config.Advisories; c.Path == "" && len(c.Repositories) > 0 {
		var err error
		if a.refresher.Mirrors, err = a.newMirrors(a.refresher, download.Database(), c.Repositories); err != nil {
			return err
		}
	}
	return a.newSources(a.refresher)
}

// desk is where the API sees advisory data and takes orders about it.
func (a *App) desk() api.Advisories {
	var repositories []string
	if a.Config.Advisories.Path == "" {
		for _, r := range a.Config.Advisories.Repositories {
			repositories = append(repositories, r.Repository)
		}
	}
	desk := advisory.NewDesk(a.Store, repositories, ProcessName(), a.Version, a.Log)
	desk.Compose(a.Config.Advisories)
	return tablesDesk{desk, a}
}

// peerClient asks other processes on the same store for generations. Their addresses come
// from a signed setting of the store, and the digests of what they give are checked. Each
// request has a time of its own.
func peerClient() *http.Client {
	return outbound.NewClient(outbound.ClientOptions{Purpose: outbound.Peer, Fleet: true})
}

// privateURL is where other processes reach the private listener: at its own address, or
// at the one from which this machine reaches the store where it listens on all of them.
// "" when there is no private listener, or no other process. Behind a translation of
// addresses neither is right, and listen.privateURL says it.
func (a *App) privateURL(listens net.Addr) string {
	if listens == nil || !a.Config.Store.Shared() {
		return ""
	}
	if own := a.Config.Listen.PrivateURL; own != "" {
		return strings.TrimRight(own, "/")
	}
	host, port, err := net.SplitHostPort(listens.String())
	if err != nil {
		return ""
	}
	if wildcard(host) {
		if host = ownAddress(a.Config.Store); host == "" {
			return ""
		}
	}
	return "http://" + net.JoinHostPort(host, port)
}

// ownAddress is the address from which this machine reaches the store, "" when that
// cannot be known. Nothing is sent.
func ownAddress(c store.Config) string {
	t, err := store.ParseRedis(c.URL)
	if err != nil || len(t.Addrs) == 0 {
		return ""
	}
	conn, err := net.Dial("udp", t.Addrs[0])
	if err != nil {
		return ""
	}
	defer conn.Close()
	host, _, err := net.SplitHostPort(conn.LocalAddr().String())
	if err != nil {
		return ""
	}
	return host
}
