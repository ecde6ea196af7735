// Package catalog answers everything that is listed, filtered or counted. It is
// an SQLite projection of the store in the data directory of one process, built
// from the change feed and rebuilt from a scan whenever it cannot follow: it
// holds nothing that the store does not hold, and deleting its file loses
// nothing.
//
// It lags behind the store by the time it takes to apply a change (usually
// milliseconds); nothing that decides about an image reads it. All methods are
// safe for concurrent use.
package catalog
