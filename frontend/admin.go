package frontend

import (
	"embed"
	"fmt"
	"path"
	"sync"
)

// adminFiles are the operators' page and its bundles. They are not among Assets: the public
// listener does not serve them.
//
//go:embed admin/index.html dist/admin page/logo.svg
var adminFiles embed.FS

// AdminAssets returns the files of the admin page by name; "" is the page itself.
var AdminAssets = sync.OnceValues(func() (map[string]Asset, error) {
	all := map[string]Asset{}
	for _, name := range []string{"admin/index.html", "dist/admin/admin.js", "dist/admin/admin.css", "page/logo.svg"} {
		body, err := adminFiles.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("admin page: %w", err)
		}
		all[path.Base(name)] = NewAsset(mediaTypes[path.Ext(name)], body)
	}
	all[""] = NewAsset("text/html; charset=utf-8", all["index.html"].Body)
	delete(all, "index.html")
	return all, nil
})
