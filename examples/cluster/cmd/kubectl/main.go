// Command kubectl is the upstream client, unchanged, in the same version as the
// API server. The plug-ins for cloud logins are left out: the example logs in
// with tokens.
package main

import (
	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err) // prints the error as users know it and exits
	}
}
