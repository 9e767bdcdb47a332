{{- /* Goverse's programs find etcd by these. */}}
{{- define "goverse.configData" -}}
GOVERSE_ETCD_ENDPOINTS: {{ .Values.etcd.enabled | ternary "goverse-etcd:2379" .Values.etcd.address | quote }}
GOVERSE_ETCD_PREFIX: {{ .Values.etcd.prefix | quote }}
{{- end }}

{{- /* The name that kustomize gives a generated ConfigMap: a hash of its content, so that a change of the content
rolls the pods. Kustomize leaves the name empty when it hashes, and writes five digits as other letters. */}}
{{- define "goverse.config" -}}
{{- $data := include "goverse.configData" . | fromYaml -}}
{{- $hash := dict "data" $data "kind" "ConfigMap" "name" "" | toJson | sha256sum | trunc 10 -}}
{{- $hash = $hash | replace "0" "g" | replace "1" "h" | replace "3" "k" | replace "a" "m" | replace "e" "t" -}}
goverse-config-{{ $hash }}
{{- end }}

{{- /* Nine tenths of a memory limit in Mi or Gi, which the Go runtime does not see. */}}
{{- define "goverse.gomemlimit" -}}
{{- $mebibytes := hasSuffix "Gi" . | ternary (mul 1024 (trimSuffix "Gi" . | int64)) (trimSuffix "Mi" . | int64) -}}
{{ div (mul $mebibytes 9) 10 }}MiB
{{- end }}
