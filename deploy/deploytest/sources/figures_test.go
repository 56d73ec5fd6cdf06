package sources_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	maxFile     = 400 // lines
	maxFunction = 70  // lines
	maxMethods  = 30  // of one type
	maxFlat     = 20  // Go files in api/ itself
)

// TestFigures: nothing is too long to read at once.
func TestFigures(t *testing.T) {
	const root = "../../.."
	report := func(what string, n, limit int) {
		if n > limit {
			t.Errorf("%s: %d, at most %d", what, n, limit)
		}
	}
	methods := map[string]int{}
	for _, path := range files(t, ".go") {
		name := strings.TrimPrefix(path, root+"/")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		report(name, strings.Count(string(text), "\n"), maxFile)
		if strings.HasPrefix(name, "api/") && !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "api/apitest/") {
			report(name+" wechat_web", strings.Count(string(text), `"wechat_web"`), 0)
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			report(name+" "+f.Name.Name, set.Position(f.End()).Line-set.Position(f.Pos()).Line+1, maxFunction)
			if f.Recv != nil {
				typ := f.Recv.List[0].Type
				if star, ok := typ.(*ast.StarExpr); ok {
					typ = star.X
				}
				if id, ok := typ.(*ast.Ident); ok {
					methods[filepath.Dir(name)+"."+id.Name]++
				}
			}
		}
	}
	for typ, n := range methods {
		report(typ, n, maxMethods)
	}
	flat, err := filepath.Glob(root + "/api/*.go")
	if err != nil {
		t.Fatal(err)
	}
	report("api", len(flat), maxFlat)
}
