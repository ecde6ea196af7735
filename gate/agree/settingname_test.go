package agree_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/digestgate/digestgate/gate/agree"
)

// tableOfSettings is the one file that spells the names.
const tableOfSettings = "settingname.go"

// TestSettingNames: the table has every name, each once and apart from all
// others, and docs/redis.md lists the same.
func TestSettingNames(t *testing.T) {
	var names []string
	for _, use := range agree.SettingUses() {
		if use.Use == "" || use.Name == "" || slices.Contains(names, use.Name) {
			t.Errorf("the table has the row %+v", use)
		}
		names = append(names, use.Name)
	}
	page, err := os.ReadFile("../../docs/redis.md")
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?s)\nSettings are few: (.*?)\n\n`).FindSubmatch(page)
	if line == nil {
		t.Fatal("docs/redis.md does not list the settings")
	}
	var listed []string
	for _, m := range regexp.MustCompile("`([^`]+)`").FindAllSubmatch(line[1], -1) {
		listed = append(listed, string(m[1]))
	}
	slices.Sort(names)
	slices.Sort(listed)
	if diff := cmp.Diff(names, listed); diff != "" {
		t.Errorf("docs/redis.md (-table +page):\n%s", diff)
	}
}

// TestSettingNamesAreSpeltOnce: no other source of the product has the name of a
// setting, or the beginning of one.
func TestSettingNamesAreSpeltOnce(t *testing.T) {
	var spelt []string
	for _, use := range agree.SettingUses() {
		name := use.Name
		if i := strings.IndexFunc(name, func(r rune) bool { return r >= 'A' && r <= 'Z' }); i > 0 {
			name = name[:i]
		}
		spelt = append(spelt, name)
	}
	files := 0
	err := filepath.WalkDir("../..", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "testdata" || strings.HasSuffix(name, "test") || strings.HasPrefix(name, ".") && name != "..") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || name == tableOfSettings {
			return nil
		}
		files++
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			if _, imports := n.(*ast.ImportSpec); imports {
				return false
			}
			text, ok := n.(*ast.BasicLit)
			if !ok || text.Kind != token.STRING {
				return true
			}
			value, err := strconv.Unquote(text.Value)
			if err == nil && slices.Contains(spelt, value) {
				t.Errorf("%s spells the setting %q; take it from the table in gate/%s", file, value, tableOfSettings)
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if files < 100 {
		t.Errorf("only %d sources were looked at; the walk is broken", files)
	}
}
