package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"time"
)

const (
	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
)

// image is the program of one architecture.
type image struct {
	arch    string
	program []byte
}

// descriptor names a blob (OCI image spec 1.1).
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Platform    map[string]string `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// layout collects the files of an OCI image layout.
type layout struct{ files []file }

// add adds a blob.
func (l *layout) add(mediaType string, data []byte) descriptor {
	sum := sha256.Sum256(data)
	digest := hex.EncodeToString(sum[:])
	name := "blobs/sha256/" + digest
	if !slices.ContainsFunc(l.files, func(f file) bool { return f.name == name }) {
		l.files = append(l.files, file{name, 0o644, data})
	}
	return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(data)}
}

// addJSON adds a document as a blob.
func (l *layout) addJSON(mediaType string, value map[string]any) (descriptor, error) {
	text, err := json.Marshal(value)
	return l.add(mediaType, text), err
}

// addLayer adds a layer, and returns the digest of its tar too.
func (l *layout) addLayer(files []file, at time.Time) (d descriptor, diffID string, err error) {
	var plain, packed bytes.Buffer
	if err := writeTar(&plain, files, at); err != nil {
		return d, "", err
	}
	sum := sha256.Sum256(plain.Bytes())
	z := gzip.NewWriter(&packed)
	_, err = plain.WriteTo(z)
	err = errors.Join(err, z.Close())
	return l.add(mediaLayer, packed.Bytes()), "sha256:" + hex.EncodeToString(sum[:]), err
}

// labels are those of the image spec, for the image and as annotations.
func (r *release) labels() map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":       "loginhub",
		"org.opencontainers.image.description": "Log a PC browser in with a phone",
		"org.opencontainers.image.version":     r.version,
		"org.opencontainers.image.revision":    r.commit,
		"org.opencontainers.image.created":     r.time.Format(time.RFC3339),
	}
	if r.source != "" {
		labels["org.opencontainers.image.source"] = r.source
	}
	return labels
}

// addImage adds the image of one architecture: what deploy/Dockerfile makes. The
// authorities are a layer of their own, so that the program's layer does not depend on
// the machine's file of them.
func (r *release) addImage(l *layout, i image, authorities []byte) (descriptor, error) {
	var layers []descriptor
	var diffIDs []string
	for _, files := range [][]file{
		{{"etc/", 0o755, nil}, {"etc/ssl/", 0o755, nil}, {"etc/ssl/certs/", 0o755, nil}, {"etc/ssl/certs/ca-certificates.crt", 0o644, authorities}},
		{{"loginhub", 0o755, i.program}},
	} {
		d, diffID, err := l.addLayer(files, r.time)
		if err != nil {
			return d, err
		}
		layers, diffIDs = append(layers, d), append(diffIDs, diffID)
	}
	config, err := l.addJSON(mediaConfig, map[string]any{
		"created": r.time.Format(time.RFC3339), "os": "linux", "architecture": i.arch,
		"config": map[string]any{
			"User": "65532:65532", "ExposedPorts": map[string]any{"8080/tcp": struct{}{}}, "Entrypoint": []string{"/loginhub"}, "Labels": r.labels(),
			"Healthcheck": map[string]any{"Test": []string{"CMD", "/loginhub", "health"}, "Interval": 10 * time.Second, "Timeout": 3 * time.Second, "StartPeriod": 10 * time.Second}, // Docker's; others ignore it
		},
		"rootfs":  map[string]any{"type": "layers", "diff_ids": diffIDs},
		"history": []map[string]any{{"created": r.time.Format(time.RFC3339), "comment": "authorities"}, {"created": r.time.Format(time.RFC3339), "comment": "program"}},
	})
	if err != nil {
		return config, err
	}
	d, err := l.addJSON(mediaManifest, map[string]any{"schemaVersion": 2, "mediaType": mediaManifest, "config": config, "layers": layers, "annotations": r.labels()})
	d.Platform = map[string]string{"os": "linux", "architecture": i.arch}
	return d, err
}

// writeImage writes the image layout as a tar: one image for all architectures.
func (r *release) writeImage(images []image) error {
	authorities, err := os.ReadFile(r.certificates)
	if err != nil {
		return err
	}
	l := &layout{}
	var manifests []descriptor
	for _, i := range images {
		d, err := r.addImage(l, i, authorities)
		if err != nil {
			return err
		}
		manifests = append(manifests, d)
	}
	index, err := l.addJSON(mediaIndex, map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": manifests, "annotations": r.labels()})
	if err != nil {
		return err
	}
	index.Annotations = map[string]string{"org.opencontainers.image.ref.name": "v" + r.version}
	top, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": mediaIndex, "manifests": []descriptor{index}})
	if err != nil {
		return err
	}
	l.files = append(l.files, file{"blobs/", 0o755, nil}, file{"blobs/sha256/", 0o755, nil}, file{"index.json", 0o644, top}, file{"oci-layout", 0o644, []byte(`{"imageLayoutVersion":"1.0.0"}`)})
	var b bytes.Buffer
	if err := writeTar(&b, l.files, r.time); err != nil {
		return err
	}
	return os.WriteFile(r.path("image.tar"), b.Bytes(), 0o644)
}
