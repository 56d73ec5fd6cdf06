package deploytest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// testNames returns the tests of the tree: Go's by name, Node's by title.
func testNames(t *testing.T, root string) (goTests map[string]bool, titles []*regexp.Regexp) {
	t.Helper()
	goTests = map[string]bool{}
	blank := regexp.MustCompile(`\$\{.*?\}`)
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	title := regexp.MustCompile("(?m)^\\s*(?:browserTest|test)\\((?:'((?:[^'\\\\]|\\\\.)*)'|`([^`]*)`)")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case !strings.HasSuffix(path, "_test.go") && !strings.HasSuffix(path, ".test.js"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, ".go") {
			for _, m := range function.FindAllSubmatch(text, -1) {
				goTests[string(m[1])] = true
			}
			return nil
		}
		for _, m := range title.FindAllSubmatch(text, -1) {
			// A generated title is matched as a pattern.
			parts := blank.Split(string(m[1])+string(m[2]), -1)
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			titles = append(titles, regexp.MustCompile("^"+strings.Join(parts, ".+")+"$"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return goTests, titles
}

func TestRiskAssessment_Complete(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(root + "/deploy/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	goTests, titles := testNames(t, root)
	if len(goTests) < 100 || len(titles) < 20 {
		t.Fatalf("only %d and %d tests found: the pattern is wrong", len(goTests), len(titles))
	}
	for _, name := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1) {
		if !goTests[name[1]] {
			t.Errorf("no test %s", name[1])
		}
	}
	quoted := regexp.MustCompile(`"((?:[^"\\]|\\.)*)"`)
	seen := map[int]bool{}
	for _, line := range strings.Split(string(text), "\n") {
		cells := strings.Split(strings.Trim(line, "|"), "|")
		number, err := strconv.Atoi(strings.TrimSpace(cells[0]))
		if err != nil || !strings.HasPrefix(line, "|") {
			continue
		}
		if seen[number] || len(cells) != 6 {
			t.Errorf("row %d: a duplicate, or %d cells", number, len(cells))
			continue
		}
		seen[number] = true
		for _, path := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cells[3], -1) {
			if _, err := os.Stat(filepath.Join(root, path[1])); err != nil {
				t.Errorf("row %d: %v", number, err)
			}
		}
		proof, remains := strings.TrimSpace(cells[4]), strings.TrimSpace(cells[5])
		found := strings.Contains(proof, "`Test") || strings.Contains(proof, "`Fuzz") || proof == "does not apply"
		for _, m := range quoted.FindAllStringSubmatch(proof, -1) {
			name := strings.ReplaceAll(m[1], `\"`, `"`)
			if found = true; !slices.ContainsFunc(titles, func(r *regexp.Regexp) bool { return r.MatchString(name) }) {
				t.Errorf("row %d: no test %q", number, name)
			}
		}
		if !found || remains == "" || strings.TrimSpace(cells[2]) == "" {
			t.Errorf("row %d names no test or no remaining risk", number)
		}
	}
	for number := 1; number <= 59; number++ {
		if !seen[number] {
			t.Errorf("row %d is missing", number)
		}
	}
}

// TestRiskAssessment_FuzzTargets: SECURITY.md names every fuzz target. `task fuzz`, which lists the
// packages of this module, runs them all.
func TestRiskAssessment_FuzzTargets(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(root + "/deploy/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for _, m := range regexp.MustCompile("`(Fuzz\\w+)`").FindAllStringSubmatch(string(text), -1) {
		named[m[1]] = true
	}
	goTests, _ := testNames(t, root)
	for name := range goTests {
		if strings.HasPrefix(name, "Fuzz") && !named[name] {
			t.Errorf("%s is not named", name)
		}
	}
	others, _ := testNames(t, root+"/deploy/kubernetes/check") // another module
	for name := range others {
		if strings.HasPrefix(name, "Fuzz") {
			t.Errorf("task fuzz does not run %s", name)
		}
	}
}
