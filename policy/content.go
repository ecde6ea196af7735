package policy

import (
	"slices"
	"strings"

	"github.com/digestgate/digestgate/gate"
)

// contentOf identifies a set, wherever its files lie.
func contentOf(files []File) gate.Digest { return gate.Digest(contentHash(canonical(files))) }

// canonical is a set as all processes have it: without tests, and with names
// that begin where the paths of the files begin to differ, because each machine
// may keep them elsewhere.
func canonical(files []File) []File {
	files = live(files)
	if len(files) == 0 {
		return files
	}
	common := commonDir(files)
	out := make([]File, len(files))
	for i, f := range files {
		out[i] = File{Name: strings.TrimPrefix(f.Name, common), Text: f.Text}
	}
	slices.SortFunc(out, func(a, b File) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// commonDir is the longest directory, with its slash, that all names begin with;
// "" for none.
func commonDir(files []File) string {
	common := files[0].Name
	for _, f := range files {
		for !strings.HasPrefix(f.Name, common) || !strings.HasSuffix(common, "/") {
			if common == "" {
				return ""
			}
			common = common[:strings.LastIndexByte(strings.TrimSuffix(common, "/"), '/')+1]
		}
	}
	return common
}
