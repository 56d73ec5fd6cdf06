package deploytest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

// testFolder is a folder with Go tests.
type testFolder struct {
	module, path string   // the module's folder, and the path within it
	functions    []string // Test, Fuzz, Example and Benchmark, without TestMain
	text         string   // of all test files
}

var testFunction = regexp.MustCompile(`^func ((?:Test|Fuzz|Example|Benchmark)\w*)\(`)

// readTestFolders reads the Go tests of all modules, once.
var readTestFolders = sync.OnceValues(func() (all []*testFolder, err error) {
	const root = "../.."
	byPath, modules := map[string]*testFolder{}, map[string]string{} // by folder
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == ".git"):
			return fs.SkipDir
		case d.IsDir():
			modules[name] = modules[filepath.Dir(name)]
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil {
				modules[name] = name
			}
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir := filepath.Dir(name)
		f := byPath[dir]
		if f == nil {
			within, _ := filepath.Rel(modules[dir], dir)
			f = &testFolder{module: modules[dir], path: within}
			byPath[dir], all = f, append(all, f)
		}
		text, err := os.ReadFile(path)
		f.text += string(text)
		for line := range strings.Lines(string(text)) {
			if strings.HasPrefix(line, "func ") { // the race detector makes patterns slow
				if m := testFunction.FindStringSubmatch(line); m != nil && m[1] != "TestMain" {
					f.functions = append(f.functions, m[1])
				}
			}
		}
		return err
	})
	return all, err
})

// testFolders returns the folders of a module that match patterns of `go test`.
func testFolders(t *testing.T, module string, patterns ...string) (found []*testFolder) {
	t.Helper()
	all, err := readTestFolders()
	if err != nil || len(all) < 30 {
		t.Fatalf("%d folders with tests: %v", len(all), err)
	}
	for _, pattern := range patterns {
		seen := false
		tree, recursive := strings.CutSuffix(filepath.Clean(pattern), "...")
		for _, f := range all {
			if f.module == module && (f.path == filepath.Clean(tree) || recursive && strings.HasPrefix(f.path+"/", tree)) {
				seen = true
				if !slices.Contains(found, f) {
					found = append(found, f)
				}
			}
		}
		if !seen {
			t.Errorf("module %s: no tests in %s", module, pattern)
		}
	}
	return found
}

// testNames returns the names of all Go tests and fuzz targets.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	testFolders(t, ".", "./...")
	all, _ := readTestFolders()
	names := map[string]bool{}
	for _, f := range all {
		for _, name := range f.functions {
			names[name] = true
		}
	}
	return names
}
