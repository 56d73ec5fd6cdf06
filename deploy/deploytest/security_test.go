package deploytest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// browserTitles returns the titles of Node's tests. A generated title is a pattern.
func browserTitles(t *testing.T) (titles []*regexp.Regexp) {
	t.Helper()
	blank := regexp.MustCompile(`\$\{.*?\}`)
	title := regexp.MustCompile("(?m)^\\s*(?:browserTest|test)\\((?:'((?:[^'\\\\]|\\\\.)*)'|`([^`]*)`)")
	for _, path := range browserTests(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range title.FindAllSubmatch(text, -1) {
			parts := blank.Split(string(m[1])+string(m[2]), -1)
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			titles = append(titles, regexp.MustCompile("^"+strings.Join(parts, ".+")+"$"))
		}
	}
	return titles
}

func TestRiskAssessment_Complete(t *testing.T) {
	const root = "../.."
	text, err := os.ReadFile(root + "/deploy/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	goTests, titles := testNames(t), browserTitles(t)
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
	for name := range testNames(t) {
		if strings.HasPrefix(name, "Fuzz") && !named[name] {
			t.Errorf("%s is not named", name)
		}
	}
	for _, f := range testFolders(t, "deploy/kubernetes/check", "./...") {
		for _, name := range f.functions {
			if strings.HasPrefix(name, "Fuzz") {
				t.Errorf("task fuzz does not run %s", name)
			}
		}
	}
}
