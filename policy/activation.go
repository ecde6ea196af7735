package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/digestgate/digestgate/gate"
)

// Activation is the set of policies that is in force on a store, with all its
// sources: what every process on that store evaluates. See
// docs/adr/0010-active-policies.md.
type Activation struct {
	Format int `json:"format"`
	// Number is issued by the store: a later activation has a higher one, also
	// one of a content that was active before.
	Number  int64       `json:"number"`
	Content gate.Digest `json:"content"`
	// ActivatedAt is the store's time; By names the process, Program the
	// version of the program that tried the set.
	ActivatedAt time.Time `json:"activatedAt"`
	By          string    `json:"by"`
	Program     string    `json:"program"`
	// Former are the contents that were active before, each with its last
	// number, the newest first.
	Former []former `json:"former,omitempty"`
	// Packed is the JSON of the files, compressed with zstd.
	Packed []byte `json:"set"`
}

type former struct {
	Number  int64       `json:"number"`
	Content gate.Digest `json:"content"`
}

const (
	// activationFormat is the layout of an Activation. A process leaves one
	// that it does not know alone.
	activationFormat = 1
	// maxFormer bounds what is remembered of former activations: 14 kB. A
	// content that was in force longer ago counts as one that never was.
	maxFormer = 128
	// maxUnpacked bounds the JSON of the files of a set: a text without any
	// letter that JSON writes as it is takes six times its size.
	maxUnpacked = 6*maxSetBytes + 1<<20
)

// last is the highest number under which a content was active, 0 if it never
// was, as far as the store remembers.
func (a Activation) last(content gate.Digest) int64 {
	if content == a.Content {
		return a.Number
	}
	for _, f := range a.Former {
		if f.Content == content {
			return f.Number
		}
	}
	return 0
}

// next is the activation of another set after a; its time and authors are left
// to the caller.
func (a Activation) next(content gate.Digest, packed []byte) Activation {
	n := Activation{Format: activationFormat, Number: a.Number + 1, Content: content, Packed: packed}
	if a.Number > 0 {
		n.Former = append(n.Former, former{a.Number, a.Content})
	}
	for _, f := range a.Former {
		if f.Content != n.Content && f.Content != a.Content && len(n.Former) < maxFormer {
			n.Former = append(n.Former, f)
		}
	}
	return n
}

// Files unpacks the sources. The error says that they are damaged.
func (a Activation) Files() ([]File, error) {
	var files []File
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	text, err := decoder.DecodeAll(a.Packed, nil)
	if err == nil {
		err = json.Unmarshal(text, &files)
	}
	if err == nil && contentOf(files) != a.Content {
		err = errors.New("the files are not those of the content")
	}
	if err != nil {
		return nil, fmt.Errorf("unpacking the policies of activation %d: %w: %w", a.Number, gate.ErrInvalid, err)
	}
	return files, nil
}

func pack(files []File) ([]byte, error) {
	text, err := json.Marshal(canonical(files))
	if err != nil {
		return nil, fmt.Errorf("packing the policies: %w", err)
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithWindowSize(1<<20), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer encoder.Close()
	return encoder.EncodeAll(text, nil), nil
}

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
