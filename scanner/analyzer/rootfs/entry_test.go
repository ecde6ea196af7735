package rootfs_test

import (
	"archive/tar"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/scanner/analyzer/rootfs"
)

func TestNewEntry(t *testing.T) {
	attribute := func(name string) map[string]string { return map[string]string{"SCHILY.xattr." + name: "y"} }
	for name, tt := range map[string]struct {
		header  tar.Header
		want    rootfs.Entry
		problem string
	}{
		"file":               {tar.Header{Typeflag: tar.TypeReg, Name: "./a//b/", Mode: 0o100755, Size: 7}, rootfs.Entry{Name: "a/b", Kind: rootfs.File, Mode: 0o755, Size: 7}, ""},
		"device":             {tar.Header{Typeflag: tar.TypeChar, Name: "a", Devmajor: 1}, rootfs.Entry{Name: "a", Kind: rootfs.Device}, ""},
		"pipe":               {tar.Header{Typeflag: tar.TypeFifo, Name: "a"}, rootfs.Entry{Name: "a", Kind: rootfs.Device}, ""},
		"null_device":        {tar.Header{Typeflag: tar.TypeChar, Name: "a"}, rootfs.Entry{Name: "a", Kind: rootfs.NullDevice}, ""},
		"null_when_cut":      {tar.Header{Typeflag: tar.TypeChar, Name: "a", Devmajor: 1 << 32}, rootfs.Entry{Name: "a", Kind: rootfs.NullDevice, Refused: rootfs.LargeDevice}, ""},
		"null_block":         {tar.Header{Typeflag: tar.TypeBlock, Name: "a"}, rootfs.Entry{Name: "a", Kind: rootfs.Device}, ""},
		"unknown_type":       {tar.Header{Typeflag: tar.TypeGNUSparse, Name: "a"}, rootfs.Entry{Name: "a", Kind: rootfs.Unknown}, ""},
		"outside":            {tar.Header{Typeflag: tar.TypeReg, Name: "/../a"}, rootfs.Entry{Name: "/a", Kind: rootfs.File, Refused: rootfs.Outside}, ""},
		"user_attribute":     {tar.Header{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "b", PAXRecords: attribute("user.x")}, rootfs.Entry{Name: "a", Kind: rootfs.Symlink, Link: "b", Refused: rootfs.UserAttribute}, ""},
		"no_name_space":      {tar.Header{Typeflag: tar.TypeDir, Name: "a", PAXRecords: attribute("x")}, rootfs.Entry{Name: "a", Kind: rootfs.Directory, Refused: rootfs.NoNameSpace}, ""},
		"global":             {tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "a", PAXRecords: attribute("x")}, rootfs.Entry{Name: "a", Kind: rootfs.Global}, ""},
		"opaque_attribute":   {tar.Header{Typeflag: tar.TypeDir, Name: "a", PAXRecords: attribute("trusted.overlay.opaque")}, rootfs.Entry{Name: "a", Kind: rootfs.Directory}, ""},
		"redirect":           {tar.Header{Typeflag: tar.TypeDir, Name: "a", PAXRecords: attribute("trusted.overlay.redirect")}, rootfs.Entry{Name: "a", Kind: rootfs.Directory}, "trusted.overlay.redirect"},
		"whiteout_no_name":   {tar.Header{Typeflag: tar.TypeReg, Name: "a/.wh."}, rootfs.Entry{Name: "a/.wh.", Kind: rootfs.File}, "removes no file"},
		"whiteout_of_dotdot": {tar.Header{Typeflag: tar.TypeDir, Name: "a/.wh.../"}, rootfs.Entry{Name: "a/.wh...", Kind: rootfs.Directory}, "removes no file"},
	} {
		t.Run(name, func(t *testing.T) {
			got, problem := rootfs.NewEntry(&tt.header)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("entry (-want +got):\n%s", diff)
			}
			if (problem == "") != (tt.problem == "") || !strings.Contains(problem, tt.problem) {
				t.Errorf("problem: got %q, want %q", problem, tt.problem)
			}
		})
	}
}
