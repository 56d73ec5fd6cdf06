// Package check tests the manifests beside it against the Kubernetes API's own types
// and against the program. It is a separate module, because the hub needs none of its
// dependencies.
package check
