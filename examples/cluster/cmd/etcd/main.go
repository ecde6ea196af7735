// Command etcd is the upstream server, unchanged, built from its Go module. The
// API server keeps its objects in it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
