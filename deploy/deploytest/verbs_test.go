package deploytest_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// goTest matches a `go test` of the Taskfile: the flag that chooses tests, its pattern, the packages.
var goTest = regexp.MustCompile(`^go test .*?(?:-(run|skip) '(.*)' )?(\./.*?)(?: #|$)`)

// TestVerbs_EachTestOnce: each Go test of the main module and each file of browser tests runs in
// exactly one verb of .ci/run, and `task check` runs the same verbs.
func TestVerbs_EachTestOnce(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../Taskfile.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vars  map[string]string
		Tasks map[string]struct{ Cmds []any }
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for name, value := range file.Vars {
		text = []byte(strings.ReplaceAll(string(text), "{{."+name+"}}", value))
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	ci, err := os.ReadFile("../../.ci/run")
	if err != nil {
		t.Fatal(err)
	}
	verbs := strings.Fields(regexp.MustCompile(`cmd/task@\S+ (.*)`).FindStringSubmatch(string(ci))[1])
	var check []string
	for _, cmd := range file.Tasks["check"].Cmds {
		check = append(check, cmd.(map[string]any)["task"].(string))
	}
	if !slices.Equal(verbs, check) {
		t.Errorf(".ci/run runs %v, task check %v", verbs, check)
	}
	runs := map[string][]string{} // by test, or by path of a file
	for _, name := range goTests(t, "./...") {
		runs[name] = nil
	}
	for _, path := range browserTests(t) {
		runs[path] = nil
	}
	for _, verb := range verbs {
		cmds := file.Tasks[verb].Cmds
		for _, cmd := range cmds {
			if call, ok := cmd.(map[string]any); ok && call["vars"] == nil {
				cmds = append(cmds, file.Tasks[call["task"].(string)].Cmds...)
			}
		}
		for _, cmd := range cmds {
			for _, test := range testsOf(t, cmd) {
				runs[test] = append(runs[test], verb)
			}
		}
	}
	for test, in := range runs {
		if len(in) != 1 {
			t.Errorf("%s runs in %v, not in one verb", test, in)
		}
	}
}

// testsOf returns the tests that a command of the Taskfile runs.
func testsOf(t *testing.T, cmd any) (tests []string) {
	t.Helper()
	if call, ok := cmd.(map[string]any); ok {
		vars, _ := call["vars"].(map[string]any)
		files, _ := vars["FILES"].(string)
		for pattern := range strings.FieldsSeq(files) {
			paths, err := filepath.Glob("../../" + pattern)
			if err != nil || len(paths) == 0 {
				t.Errorf("%s matches no file: %v", pattern, err)
			}
			tests = append(tests, paths...)
		}
		return tests
	}
	m := goTest.FindStringSubmatch(cmd.(string))
	if m == nil {
		return nil
	}
	pattern := regexp.MustCompile(m[2])
	for _, name := range goTests(t, strings.Fields(m[3])...) {
		folder, short, _ := strings.Cut(name, " ")
		if folder == "api/apitest" && m[1] != "" {
			t.Fatalf("%s: with a filter, api/apitest does not check that every documented answer is seen", cmd)
		}
		if m[1] == "" || pattern.MatchString(short) == (m[1] == "run") {
			tests = append(tests, name)
		}
	}
	return tests
}

// goTests returns each test of the packages, as "folder name".
func goTests(t *testing.T, packages ...string) (tests []string) {
	t.Helper()
	for _, f := range testFolders(t, ".", packages...) {
		for _, name := range f.functions {
			if !strings.HasPrefix(name, "Benchmark") {
				tests = append(tests, f.path+" "+name)
			}
		}
	}
	return tests
}

// browserTests returns the path of each file with tests in frontend/.
func browserTests(t *testing.T) (paths []string) {
	t.Helper()
	err := filepath.WalkDir("../../frontend", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.Name() == "node_modules":
			return fs.SkipDir
		case strings.HasSuffix(path, ".test.js"):
			paths = append(paths, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
