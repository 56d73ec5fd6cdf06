// Package check holds the manifests beside it to the Kubernetes API's own types,
// and to the program. It is a module of its own: the hub needs none of this.
package check
