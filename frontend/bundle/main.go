// Command bundle writes frontend/dist: one minified file for each script and style sheet that a page
// or a site loads, so that a browser needs no second round trip for imports. `go generate ./frontend`
// runs it. The files are in the repository, so that the program builds with Go alone.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// modules and sheets are what pages and sites load. Imports are bundled into them.
var (
	modules = []string{"client/login.js", "client/widget/login-qr.js", later, "page/page.js", "page/phone.js", "page/consent.js", "page/continue.js", "page/open.js", "admin/admin.js"}
	sheets  = []string{"page/base.css", "page/dark.css", "page/page.css", "page/phone.css", "page/device.css", "page/docs.css", "admin/admin.css"}
	// later is loaded by the others, if a client has a living code.
	later = "client/widget/drawcode.js"
	// inline runs in a page's head, in browsers without modules too.
	inline = []string{"page/boot.js"}
)

// browsers are the oldest supported browsers. frontend/client/README.md gives the reasons.
var browsers = []api.Engine{{Name: api.EngineChrome, Version: "86"}, {Name: api.EngineFirefox, Version: "90"}, {Name: api.EngineSafari, Version: "15"}}

func main() {
	if err := write(".", "dist"); err != nil {
		log.Fatal(err)
	}
}

// write bundles the sources in dir into the directory out.
func write(dir, out string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	files, err := bundle(dir)
	if err != nil {
		return err
	}
	for name, text := range files {
		to := filepath.Join(out, name)
		if old, err := os.ReadFile(to); err == nil && bytes.Equal(old, text) {
			continue
		}
		// Renamed, because a build may read it now.
		next := to + ".new"
		if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(next, text, 0o644), os.Rename(next, to)); err != nil {
			return fmt.Errorf("bundle: %w", err)
		}
	}
	return nil
}

// bundle returns the bundles of the sources in dir by their path in dist.
func bundle(dir string) (map[string][]byte, error) {
	if _, err := fs.Stat(os.DirFS(dir), "embed.go"); err != nil {
		return nil, fmt.Errorf("bundle: run it in the folder frontend: %w", err)
	}
	files := map[string][]byte{}
	for _, entry := range slices.Concat(modules, sheets, inline) {
		options := api.BuildOptions{
			AbsWorkingDir: dir, Outdir: "dist", Outbase: ".", EntryPoints: []string{entry}, Format: api.FormatESModule, Bundle: true,
			Engines: browsers, Charset: api.CharsetUTF8, LegalComments: api.LegalCommentsInline, // licences
			Plugins:          []api.Plugin{loadLater(entry)},
			MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true,
		}
		if slices.Contains(inline, entry) {
			options.Format, options.Engines, options.Target = api.FormatIIFE, nil, api.ES5
		}
		result := api.Build(options)
		if len(result.Errors) > 0 {
			return nil, fmt.Errorf("bundle: %s", api.FormatMessages(result.Errors, api.FormatMessagesOptions{}))
		}
		for _, file := range result.OutputFiles {
			name, err := filepath.Rel(filepath.Join(dir, "dist"), file.Path)
			if err != nil {
				return nil, fmt.Errorf("bundle: %w", err)
			}
			files[filepath.ToSlash(name)] = file.Contents
		}
	}
	return files, nil
}

// loadLater leaves the import() of the file later in the bundle of an entry, with the path from there.
func loadLater(entry string) api.Plugin {
	return api.Plugin{Name: "later", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: `/` + regexp.QuoteMeta(path.Base(later)) + `$`}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			if args.Kind != api.ResolveJSDynamicImport {
				return api.OnResolveResult{}, nil
			}
			from, err := filepath.Rel(path.Dir(entry), later)
			if from = filepath.ToSlash(from); !strings.HasPrefix(from, ".") {
				from = "./" + from
			}
			return api.OnResolveResult{Path: from, External: true}, err
		})
	}}
}
