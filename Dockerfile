# The chat demo as one small image: Node builds the page, Go embeds it, and the
# binary is all that is shipped.

FROM node:20-alpine AS page
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
COPY web/arpc-js/package.json web/arpc-js/
COPY web/chat-demo/ui/package.json web/chat-demo/ui/
RUN npm ci --ignore-scripts
COPY tsconfig.base.json ./
COPY web web
RUN npm run build --workspace web/arpc-js
RUN npm run build --workspace web/chat-demo/ui

FROM golang:1.26-alpine AS binary
WORKDIR /src
ENV CGO_ENABLED=0
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=page /src/web/chat-demo/ui/dist web/chat-demo/ui/dist
RUN go build -trimpath -ldflags="-s -w" -o bin/chat-demo ./web/chat-demo
RUN mkdir data

FROM scratch
COPY --from=binary /src/bin/chat-demo /chat-demo
# A fresh volume takes the owner of the folder it is mounted on.
COPY --from=binary --chown=65532:65532 /src/data /data
USER 65532:65532
EXPOSE 8080 8888
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/chat-demo", "-healthcheck", "http://127.0.0.1:8080/healthz"]
ENTRYPOINT ["/chat-demo"]
CMD ["-http", "0.0.0.0:8080", "-tcp", "0.0.0.0:8888"]
