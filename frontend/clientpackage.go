package frontend

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// The tests are in a subfolder, which these patterns do not match.
//
//go:embed client/package.json client/*.md client/*.js client/widget/*.js client/frameworks
//go:embed client/types.d.ts client/login-qr.d.ts client/living-code.d.ts
var clientFiles embed.FS

// ClientPackage is the browser client as a package for npm, which installs it from its URL.
type ClientPackage struct {
	Version   string // the hub's
	Integrity string // the hash that npm's lockfile shows: "sha512-", base64
	Archive   []byte // tar, gzipped; the same bytes from every node of a build
}

// Hash is a short name of the content, for URLs and ETags.
func (p ClientPackage) Hash() string {
	sum := sha256.Sum256(p.Archive)
	return hex.EncodeToString(sum[:8])
}

// NewClientPackage returns the package of the client. The version is the hub's, as in semver.org 2.0.
func NewClientPackage(version string) (p ClientPackage, err error) {
	var b bytes.Buffer
	zipped, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is valid
	archive := tar.NewWriter(zipped)
	err = fs.WalkDir(clientFiles, "client", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := clientFiles.ReadFile(name)
		if err != nil {
			return err
		}
		if name == "client/package.json" {
			text = bytes.Replace(text, []byte(`"version": "0.0.0"`), fmt.Appendf(nil, `"version": %q`, version), 1)
		}
		// npm demands one folder at the top. A time would make two nodes differ.
		header := &tar.Header{Name: "package" + name[len("client"):], Mode: 0o644, Size: int64(len(text)), Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(text)
		return err
	})
	if err != nil {
		return p, fmt.Errorf("client package: %w", err)
	}
	if err := archive.Close(); err != nil {
		return p, fmt.Errorf("client package: %w", err)
	}
	if err := zipped.Close(); err != nil {
		return p, fmt.Errorf("client package: %w", err)
	}
	sum := sha512.Sum512(b.Bytes())
	return ClientPackage{version, "sha512-" + base64.StdEncoding.EncodeToString(sum[:]), b.Bytes()}, nil
}
