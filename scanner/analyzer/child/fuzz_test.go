//go:build goexperiment.jsonv2

package child

import (
	"testing"

	"github.com/digestgate/digestgate/gate"
	"github.com/digestgate/digestgate/scanner/analyzer/protocol"
	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
)

// FuzzMerge: no result that a hostile layer's process writes, and no configuration,
// breaks the merge of an image; it ends with an inventory, with a wish for content, or
// with an error.
func FuzzMerge(f *testing.F) {
	index := rootfs.AppendIndex(nil, []rootfs.Entry{
		{Name: "etc/os-release", Kind: rootfs.File, Mode: 0o644, Size: 10}, {Name: "var/lib/dpkg/status", Kind: rootfs.File, Mode: 0o644, Size: 10},
		{Name: "app/package.json", Kind: rootfs.File, Mode: 0o644, Size: 10}, {Name: "l", Kind: rootfs.Symlink, Link: "app"},
	})
	f.Add([]byte(`{"architecture":"amd64","os":"linux","config":{"Env":["A=b"]}}`), index,
		[]byte(`{"release":[{"path":"etc/os-release","text":"ID=debian\nVERSION_ID=12\n"}],"packageInfos":[{"FilePath":"var/lib/dpkg/status","Packages":[{"Name":"a","Version":"1"}]}]}`))
	f.Add([]byte(`{}`), index, []byte(`{"applications":[{"Type":"node-pkg","FilePath":"app/package.json","Packages":[{"Name":"x","Version":"","FilePath":"app/package.json"},{}]},{}],"secrets":[{}],"licenses":[{}],"facts":[{"buildInfo":{}}],"components":[{}],"owned":["",".."]}`))
	f.Add([]byte(`null`), []byte{}, []byte(`{"packageInfos":[{"Packages":[{"Name":"\u0000","Epoch":-1,"Identifier":{"PURL":"pkg:x"}}]}]}`))
	f.Fuzz(func(t *testing.T, config, index, found []byte) {
		layers := []protocol.Layer{{DiffID: gate.Digest("sha256:00"), Index: index, Parts: []protocol.Part{{Found: found}}},
			{DiffID: gate.Digest("sha256:01"), Parts: []protocol.Part{{Found: []byte("{}")}}, Index: rootfs.AppendIndex(nil, nil)}}
		unit := protocol.Unit{Layers: len(layers), Secrets: protocol.Secrets{Enabled: true, MaxFileBytes: 1 << 20}}
		inv, again, err := mergeLayers(config, layers, nil, nil, unit)
		switch {
		case err != nil && (inv != nil || again != nil):
			t.Errorf("an error and a result: %v", err)
		case err == nil && inv == nil && len(again) == 0:
			t.Error("neither an error nor a result")
		}
	})
}
