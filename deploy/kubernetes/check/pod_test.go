package check

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestManifests_Pod(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		pod := m.Deployment.Spec.Template.Spec
		c, p := pod.Containers[0], pod.SecurityContext
		if !*p.RunAsNonRoot || *p.RunAsUser == 0 || p.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault || *pod.AutomountServiceAccountToken {
			t.Errorf("the pod is %+v", p)
		}
		if pod.ServiceAccountName != m.ServiceAccount.Name || *m.ServiceAccount.AutomountServiceAccountToken {
			t.Errorf("the pod's account is %q, of %+v", pod.ServiceAccountName, m.ServiceAccount)
		}
		if r := c.Resources; r.Requests.StorageEphemeral().IsZero() || r.Limits.StorageEphemeral().IsZero() {
			t.Errorf("the log has any part of the machine's disk: %+v", r)
		}
		if s := c.SecurityContext; *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" || s.Privileged != nil {
			t.Errorf("the container is %+v", s)
		}
		if m.Namespace.Labels["pod-security.kubernetes.io/enforce"] != "restricted" {
			t.Errorf("the namespace takes any pod: %v", m.Namespace.Labels)
		}
		for what, probe := range map[*corev1.Probe]string{c.LivenessProbe: "/healthz", c.StartupProbe: "/healthz", c.ReadinessProbe: "/readyz"} {
			if what == nil || what.HTTPGet.Path != probe || what.HTTPGet.Port.StrVal != "http" {
				t.Errorf("no probe of %s: %+v", probe, what)
			}
		}
		var drain int64
		for _, config := range m.configs {
			if text := config.Data["LOGINHUB_DRAIN"]; text != "" {
				if _, err := fmt.Sscanf(text, "%ds", &drain); err != nil {
					t.Fatalf("LOGINHUB_DRAIN %q: %v", text, err)
				}
			}
		}
		if grace := *pod.TerminationGracePeriodSeconds; drain == 0 || grace < drain+12 {
			t.Errorf("a node that drains for %d s is killed after %d", drain, grace)
		}
		if u := m.Deployment.Spec.Strategy.RollingUpdate; u.MaxUnavailable.IntVal != 0 || u.MaxSurge.IntVal < 1 {
			t.Errorf("a rollout takes nodes away first: %+v", u)
		}
		for _, name := range []string{"read", "send"} {
			if s := m.Ingress.Annotations["nginx.ingress.kubernetes.io/proxy-"+name+"-timeout"]; s != "75" {
				t.Errorf("the Ingress cuts a socket after %s s", s)
			}
		}
		if m.Ingress.Annotations["nginx.ingress.kubernetes.io/proxy-buffering"] != "off" {
			t.Error("the Ingress buffers polls")
		}
	})
}

// TestManifests_Memory: the memory fits the number of pages, and starts another pod in time.
func TestManifests_Memory(t *testing.T) {
	each(t, func(t *testing.T, m *manifests) {
		c := m.Deployment.Spec.Template.Spec.Containers[0]
		limit := c.Resources.Limits[corev1.ResourceMemory]
		if request := c.Resources.Requests[corev1.ResourceMemory]; limit.Cmp(request) != 0 || limit.IsZero() {
			t.Errorf("memory %v of %v", request, limit)
		}
		var pages int64
		for _, config := range m.configs {
			if text := config.Data["LOGINHUB_MAX_SOCKETS"]; text != "" {
				if _, err := fmt.Sscan(text, &pages); err != nil {
					t.Fatalf("LOGINHUB_MAX_SOCKETS %q: %v", text, err)
				}
			}
		}
		const page = 10 << 10 // a page's memory, the kernel's part included: deploy/RUNBOOK.md
		if pages == 0 || pages*page > limit.Value()*6/10 {
			t.Errorf("%d pages in %v: killed for its memory before it says 503", pages, &limit)
		}
		// Pods that are full of pages must use more than the autoscaler's target, at least
		// a fifth more. Otherwise it never starts another one.
		for _, metric := range m.HorizontalPodAutoscaler.Spec.Metrics {
			if metric.Resource.Name != corev1.ResourceMemory {
				continue
			}
			if full, target := pages*page*100/limit.Value(), int64(*metric.Resource.Target.AverageUtilization); full < target*12/10 {
				t.Errorf("full of pages a pod uses %d %% of its memory, and the autoscaler waits for %d", full, target)
			}
		}
		if m.HorizontalPodAutoscaler.Spec.Metrics[0].Resource.Name != corev1.ResourceMemory {
			t.Error("the autoscaler does not look at memory")
		}
	})
}
