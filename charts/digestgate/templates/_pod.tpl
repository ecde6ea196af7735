{{/* The Pod of one component: dict "root" . "component" name "values" its values. */}}
{{- define "digestgate.podTemplate" -}}
{{- $root := .root -}}
{{- $component := .component -}}
{{- $values := .values -}}
{{- $full := include "digestgate.fullname" $root -}}
{{- $redis := $root.Values.store.redis -}}
{{- $door := eq $component (include "digestgate.door" $root) -}}
{{- $talks := and $door $root.Values.webhook.enabled (eq $root.Values.tls.mode "selfManaged") -}}
metadata:
  labels:
    {{- include "digestgate.labels" $root | nindent 4 }}
    app.kubernetes.io/component: {{ $component }}
    {{- with $root.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/config: {{ include "digestgate.configChecksum" $root }}
    {{- with $root.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ if $door }}{{ include "digestgate.doorServiceAccount" $root }}{{ else }}{{ include "digestgate.worksServiceAccount" $root }}{{ end }}
  # The token is mounted where it is used, and nowhere else.
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $door }}
  {{- if or $root.Values.admission.priorityClass.create $root.Values.admission.priorityClass.name }}
  priorityClassName: {{ default (printf "%s-admission" (include "digestgate.clusterName" $root)) $root.Values.admission.priorityClass.name }}
  {{- end }}
  {{- else if $values.priorityClassName }}
  priorityClassName: {{ $values.priorityClassName }}
  {{- end }}
  terminationGracePeriodSeconds: {{ $root.Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
    {{- with $root.Values.podSecurityContext }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $root.Values.extraInitContainers }}
  initContainers: {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: digestgate
      image: {{ include "digestgate.image" $root }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        - serve
        - --config=/etc/digestgate/config/config.yaml
        - --log-format=json
        - --log-level={{ $root.Values.logLevel }}
        {{- if eq $component "api" }}
        - --roles=webhooks,api
        {{- else if ne $component "all" }}
        - --roles={{ $component }}
        {{- end }}
      {{- with $root.Values.extraEnv }}
      env: {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $root.Values.extraEnvFrom }}
      envFrom: {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- if or (eq $component "api") (eq $component "all") }}
        - {name: http, containerPort: 8080}
        {{- end }}
        {{- if $door }}
        - {name: admission, containerPort: 8443}
        {{- end }}
        - {name: private, containerPort: 9090}
      # Until the store, the policies and the advisory data are there. A first start copies
      # the advisory database.
      startupProbe:
        httpGet: {path: /livez, port: private}
        periodSeconds: 2
        timeoutSeconds: 3
        failureThreshold: 300
      livenessProbe:
        httpGet: {path: /livez, port: private}
        periodSeconds: 10
        timeoutSeconds: 3
        failureThreshold: 3
      readinessProbe:
        httpGet: {path: /readyz, port: private}
        periodSeconds: 5
        timeoutSeconds: 3
        failureThreshold: 2
      resources: {{- toYaml $values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        runAsNonRoot: true
        capabilities: {drop: [ALL]}
        seccompProfile: {type: RuntimeDefault}
        {{- with $root.Values.securityContext }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      volumeMounts:
        - {name: data, mountPath: /var/lib/digestgate}
        - {name: tmp, mountPath: /tmp}
        - {name: config, mountPath: /etc/digestgate/config, readOnly: true}
        {{- if $root.Values.policies }}
        - {name: policies, mountPath: /etc/digestgate/policies, readOnly: true}
        {{- end }}
        {{- if eq $root.Values.store.type "redis" }}
        - {name: mac, mountPath: /etc/digestgate/mac, readOnly: true}
        {{- if $redis.existingSecret }}
        - {name: redis, mountPath: /etc/digestgate/redis, readOnly: true}
        {{- end }}
        {{- if $redis.ca.existingSecret }}
        - {name: redis-ca, mountPath: /etc/digestgate/redis-ca, readOnly: true}
        {{- end }}
        {{- end }}
        {{- if $root.Values.adminToken.existingSecret }}
        - {name: admin, mountPath: /etc/digestgate/admin, readOnly: true}
        {{- end }}
        {{- if and $door (ne $root.Values.tls.mode "selfManaged") }}
        - {name: tls, mountPath: /etc/digestgate/tls, readOnly: true}
        {{- end }}
        {{- if $root.Values.api.tls.existingSecret }}
        - {name: http-tls, mountPath: /etc/digestgate/http-tls, readOnly: true}
        {{- end }}
        {{- if $talks }}
        - {name: kubernetes, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true}
        {{- end }}
        {{- range $root.Values.files }}
        - {name: {{ printf "file-%s" .name }}, mountPath: {{ printf "/etc/digestgate/files/%s" .name }}, readOnly: true}
        {{- end }}
        {{- with $root.Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- if eq $component "all" }}
    - name: data
      persistentVolumeClaim:
        claimName: {{ default $full $root.Values.store.sqlite.persistence.existingClaim }}
    {{- else }}
    # Lost at a restart; the store has everything that has to be kept.
    - name: data
      emptyDir: {sizeLimit: {{ $values.dataSize }}}
    {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    - name: config
      configMap: {name: {{ $full }}}
    {{- if $root.Values.policies }}
    - name: policies
      configMap: {name: {{ $full }}-policies}
    {{- end }}
    {{- if eq $root.Values.store.type "redis" }}
    - name: mac
      secret: {secretName: {{ include "digestgate.macKeySecret" $root }}, defaultMode: 0440}
    {{- if $redis.existingSecret }}
    - name: redis
      secret: {secretName: {{ $redis.existingSecret }}, defaultMode: 0440}
    {{- end }}
    {{- if $redis.ca.existingSecret }}
    - name: redis-ca
      secret: {secretName: {{ $redis.ca.existingSecret }}, defaultMode: 0440}
    {{- end }}
    {{- end }}
    {{- if $root.Values.adminToken.existingSecret }}
    - name: admin
      secret: {secretName: {{ $root.Values.adminToken.existingSecret }}, defaultMode: 0440}
    {{- end }}
    {{- if and $door (ne $root.Values.tls.mode "selfManaged") }}
    - name: tls
      secret: {secretName: {{ include "digestgate.tlsSecret" $root }}, defaultMode: 0440}
    {{- end }}
    {{- if $root.Values.api.tls.existingSecret }}
    - name: http-tls
      secret: {secretName: {{ $root.Values.api.tls.existingSecret }}, defaultMode: 0440}
    {{- end }}
    {{- if $talks }}
    - name: kubernetes
      projected:
        defaultMode: 0440
        sources:
          - serviceAccountToken: {path: token, expirationSeconds: 3600}
          - configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: ca.crt}]}
    {{- end }}
    {{- range $root.Values.files }}
    - name: {{ printf "file-%s" .name }}
      {{- if .existingSecret }}
      secret: {secretName: {{ .existingSecret }}, defaultMode: 0440}
      {{- else }}
      configMap: {name: {{ .existingConfigMap }}}
      {{- end }}
    {{- end }}
    {{- with $root.Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $root.Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $values.affinity }}
  affinity: {{- toYaml $values.affinity | nindent 4 }}
  {{- else if ne $component "all" }}
  affinity:
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 100
          podAffinityTerm:
            topologyKey: kubernetes.io/hostname
            labelSelector:
              matchLabels:
                {{- include "digestgate.selector" $root | nindent 16 }}
                app.kubernetes.io/component: {{ $component }}
  {{- end }}
  {{- if ne $component "all" }}
  topologySpreadConstraints:
    {{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
    - maxSkew: 1
      topologyKey: {{ $key }}
      # Not DoNotSchedule: a second replica on one node is better than none.
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "digestgate.selector" $root | nindent 10 }}
          app.kubernetes.io/component: {{ $component }}
    {{- end }}
  {{- end }}
{{- end -}}

{{- define "digestgate.componentValues" -}}
{{- if eq .component "all" -}}{{- .root.Values.single | toYaml -}}
{{- else -}}{{- index .root.Values .component | toYaml -}}{{- end -}}
{{- end -}}
