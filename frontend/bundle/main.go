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
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// modules and sheets are what pages and sites load. Imports are bundled into them.
var (
	modules = []string{"client/login.js", "client/widget/login-qr.js", "page/page.js", "page/phone.js", "page/consent.js", "page/continue.js", "page/open.js", "admin/admin.js"}
	sheets  = []string{"page/base.css", "page/dark.css", "page/page.css", "page/phone.css", "page/device.css", "page/docs.css", "admin/admin.css"}
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
		path := filepath.Join(out, name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
			continue
		}
		// Renamed, because a build may read it now.
		next := path + ".new"
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(next, text, 0o644), os.Rename(next, path)); err != nil {
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
	for _, part := range []struct {
		entries []string
		format  api.Format
		engines []api.Engine
		target  api.Target
	}{
		{append(modules, sheets...), api.FormatESModule, browsers, api.DefaultTarget},
		{inline, api.FormatIIFE, nil, api.ES5},
	} {
		result := api.Build(api.BuildOptions{
			AbsWorkingDir: dir, Outdir: "dist", Outbase: ".", EntryPoints: part.entries, Format: part.format, Bundle: true,
			Engines: part.engines, Target: part.target, Charset: api.CharsetUTF8, LegalComments: api.LegalCommentsNone,
			MinifyWhitespace: true, MinifyIdentifiers: true, MinifySyntax: true,
		})
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
