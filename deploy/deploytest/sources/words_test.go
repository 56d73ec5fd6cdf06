package sources_test

import (
	"fmt"
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
)

// limits are occurrences per 1,000 lines of 80 characters. English of other Go projects stays
// below them; a text above them is hard to read as a second language. See
// .github/CONTRIBUTING.md.
var limits = []struct {
	words    string
	perMille float64
}{
	{words: "where", perMille: 12},
	{words: "told", perMille: 2},
	{words: "nobody", perMille: 2},
	{words: "stands", perMille: 2},
	{words: "hears", perMille: 1},
	{words: "whoever", perMille: 1},
	{words: "anew", perMille: 1},
	{words: "he|his|him", perMille: 1},
	{words: "deaf", perMille: 0.5},
}

// citations refer to a text that is not in the repository.
var citations = regexp.MustCompile(`\(invariant \d+|\(contract\b|section \d+ of the\s+design`)

// line is one line of text with its place.
type line struct {
	file string
	at   int
	text string
}

func TestWords_Density(t *testing.T) {
	comments, texts := goText(t)
	for kind, lines := range map[string][]line{
		"comments of Go":         comments,
		"error and log texts":    texts,
		"comments of JavaScript": scriptComments(t),
		"Markdown":               markdown(t),
	} {
		if len(lines) < 100 {
			t.Fatalf("%s: only %d lines found", kind, len(lines))
		}
		for _, limit := range limits {
			word := regexp.MustCompile(`(?i)\b(` + limit.words + `)\b`)
			var places []string
			count, total := 0, 0
			for _, l := range lines {
				total += 1 + len(l.text)/80
				if n := len(word.FindAllString(l.text, -1)); n > 0 {
					count += n
					places = append(places, fmt.Sprintf("\t%s:%d: %s", l.file, l.at, l.text))
				}
			}
			if got := float64(count) * 1000 / float64(total); got > limit.perMille {
				t.Errorf("%s: %q %.1f times in 1,000 lines, at most %g; write a plainer word:\n%s",
					kind, limit.words, got, limit.perMille, strings.Join(places, "\n"))
			}
		}
	}
	for _, l := range slices.Concat(comments, texts) {
		if citations.MatchString(l.text) {
			t.Errorf("%s:%d: name the rule itself, or hub/DESIGN.md: %s", l.file, l.at, l.text)
		}
	}
}

// files returns the paths of all files with the suffix, from the root.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	const root = "../../.."
	var found []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (name == "node_modules" || name == "testdata" || strings.HasPrefix(name, ".") && name != ".." && name != ".github" && path != root) {
			return filepath.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(name, suffix) {
			found = append(found, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// goText returns the lines of comments, tests included, and the literals given
// to functions that make an error or a log line.
func goText(t *testing.T) (comments, texts []line) {
	t.Helper()
	speaks := []string{"New", "Errorf", "Debug", "Info", "Warn", "Error"}
	for _, path := range files(t, ".go") {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			for _, c := range group.List {
				for i, text := range strings.Split(c.Text, "\n") {
					if !strings.HasPrefix(text, "//go:") {
						comments = append(comments, line{path, set.Position(c.Pos()).Line + i, text})
					}
				}
			}
		}
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			f, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(speaks, f.Sel.Name) {
				return true
			}
			for _, arg := range call.Args {
				if literal, ok := arg.(*ast.BasicLit); ok && literal.Kind == token.STRING {
					text, err := strconv.Unquote(literal.Value)
					if err != nil {
						t.Fatal(err)
					}
					texts = append(texts, line{path, set.Position(literal.Pos()).Line, text})
				}
			}
			return true
		})
	}
	return comments, texts
}

// scriptComments returns the lines of line comments and of blocks that begin a
// line.
func scriptComments(t *testing.T) []line {
	t.Helper()
	comment := regexp.MustCompile(`(?:^|\s)//\s.*$|^\s*/?\*.*$`)
	var found []line
	for _, path := range append(files(t, ".js"), files(t, ".mjs")...) {
		for i, text := range read(t, path) {
			if text = comment.FindString(text); text != "" {
				found = append(found, line{path, i + 1, text})
			}
		}
	}
	return found
}

// markdown returns the lines of prose: what is not blank and not code.
func markdown(t *testing.T) []line {
	t.Helper()
	var found []line
	for _, path := range files(t, ".md") {
		code := false
		for i, text := range read(t, path) {
			if strings.HasPrefix(strings.TrimSpace(text), "```") {
				code = !code
				continue
			}
			if !code && strings.TrimSpace(text) != "" {
				found = append(found, line{path, i + 1, text})
			}
		}
	}
	return found
}

func read(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}
