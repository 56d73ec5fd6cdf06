package frontend

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// dist has the bundles of page/ and client/. go generate makes them.
//
//go:generate go run ./bundle
//go:embed dist/client dist/page page/*.svg client/*.js client/widget/*.js messages/*.json
var sources embed.FS

// bootScript is inside the pages, so that it needs no round trip of its own.
//
//go:embed dist/page/boot.js
var bootScript string

// BootSource is the source of the pages' inline script, for a Content-Security-Policy.
func BootSource() string {
	sum := sha256.Sum256([]byte(bootScript))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// Asset is a file that browsers fetch.
type Asset struct {
	Kind string // media type
	Hash string // of the content
	Body []byte
	// Gzip returns the compressed file, made at the first call; nil if that saves nothing.
	Gzip func() []byte
}

// mediaTypes are the media types by extension.
var mediaTypes = map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml", ".json": "application/json"}

// NewAsset returns a file with its hash.
func NewAsset(kind string, body []byte) Asset {
	sum := sha256.Sum256(body)
	return Asset{Kind: kind, Hash: hex.EncodeToString(sum[:8]), Body: body, Gzip: sync.OnceValue(func() []byte { return compress(body) })}
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return nil
	}
	if _, err := w.Write(body); err != nil || w.Close() != nil || b.Len() >= len(body) {
		return nil
	}
	return b.Bytes()
}

// Assets returns the files that browsers fetch, by their path below /assets/: page/NAME, client/NAME,
// client/widget/NAME and messages/NAME. A bundle has the path of its source.
var Assets = sync.OnceValues(func() (map[string]Asset, error) {
	all := map[string]Asset{}
	err := fs.WalkDir(sources, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := fs.ReadFile(sources, name)
		if err != nil {
			return err
		}
		// dist comes after client, so that bundles replace their sources.
		all[strings.TrimPrefix(name, "dist/")] = NewAsset(mediaTypes[path.Ext(name)], body)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	return all, nil
})

// assetURL returns the URL of an asset under a name that has its hash: browsers keep it for good.
func assetURL(name string) (template.URL, error) {
	all, err := Assets()
	if err != nil {
		return "", err
	}
	asset, ok := all[name]
	if !ok {
		return "", fmt.Errorf("asset %s: no such file", name)
	}
	ext := path.Ext(name)
	return template.URL("/assets/" + strings.TrimSuffix(name, ext) + "." + asset.Hash + ext), nil
}

// FindAsset returns the file of a path below /assets/, and whether the path has the hash of the
// content. A path with another hash is of a node with another version: it has this node's file.
func FindAsset(name string) (a Asset, hashed, ok bool) {
	all, err := Assets()
	if err != nil {
		return Asset{}, false, false
	}
	if a, ok = all[name]; ok {
		return a, false, true
	}
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	hash := path.Ext(stem)
	if len(hash) != 17 {
		return Asset{}, false, false
	}
	a, ok = all[strings.TrimSuffix(stem, hash)+ext]
	return a, hash[1:] == a.Hash, ok
}
