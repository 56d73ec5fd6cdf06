package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"time"
)

// component is a module, or the program itself (CycloneDX 1.6).
type component struct {
	Type       string              `json:"type"`
	Ref        string              `json:"bom-ref"`
	Name       string              `json:"name"`
	Version    string              `json:"version"`
	PURL       string              `json:"purl"`
	Hashes     []map[string]string `json:"hashes,omitempty"`
	Properties []map[string]string `json:"properties,omitempty"`
}

// newComponent returns a component with its package URL (purl-spec: golang). The
// version of Go's standard library is Go's.
func newComponent(kind, path, version string) component {
	version = strings.TrimPrefix(version, "go")
	purl := "pkg:golang/" + strings.ToLower(path) + "@" + strings.ReplaceAll(version, "+", "%2B")
	return component{Type: kind, Ref: purl, Name: path, Version: version, PURL: purl}
}

// writeSBOM writes which modules the program contains, as `go version -m` shows them.
// Each has its checksum of go.sum, which is no hash of one file, as a property.
func (r *release) writeSBOM(p platform, program []byte) error {
	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		return err
	}
	self, sum := newComponent("application", info.Main.Path, "v"+r.version), sha256.Sum256(program)
	self.PURL += "?goos=" + p.os + "&goarch=" + p.arch
	self.Hashes = []map[string]string{{"alg": "SHA-256", "content": hex.EncodeToString(sum[:])}}
	parts := []component{newComponent("library", "std", info.GoVersion)}
	for _, m := range info.Deps {
		m = cmp.Or(m.Replace, m)
		part := newComponent("library", m.Path, m.Version)
		if m.Sum != "" {
			part.Properties = []map[string]string{{"name": "go.sum", "value": m.Sum}}
		}
		parts = append(parts, part)
	}
	refs := make([]string, len(parts))
	for i, part := range parts {
		refs[i] = part.Ref
	}
	id := sum[:16]
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // RFC 9562, version 8
	serial := hex.EncodeToString(id)
	text, err := json.MarshalIndent(map[string]any{
		"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
		"serialNumber": "urn:uuid:" + strings.Join([]string{serial[:8], serial[8:12], serial[12:16], serial[16:20], serial[20:]}, "-"),
		"metadata":     map[string]any{"timestamp": r.time.Format(time.RFC3339), "component": self},
		"components":   parts,
		"dependencies": []map[string]any{{"ref": self.Ref, "dependsOn": refs}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(r.path(p.String()+".cdx.json"), append(text, '\n'), 0o644)
}
