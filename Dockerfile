# One image for every command of the program: server, migrate, agent … (`docker run <image> <command>`).
FROM node:24-bookworm-slim

WORKDIR /app
ENV NODE_ENV=production

# Without scripts and optional packages: the image brings its own Node, and its database is elsewhere. What
# `npm ci` would have fetched as node_modules/.bin/node is the image's Node here.
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --omit=optional --ignore-scripts \
  && npm cache clean --force \
  && mkdir -p node_modules/node/bin node_modules/.bin \
  && ln -sf /usr/local/bin/node node_modules/node/bin/node \
  && ln -sf ../node/bin/node node_modules/.bin/node

COPY . .

# Volumes mounted here take over this owner when they are first used.
RUN mkdir -p /data /run/streamspace && chown node:node /data /run/streamspace && chmod 700 /data /run/streamspace
USER node

ENV HOST=0.0.0.0 PORT=8080 STREAMSPACE_DATA_DIR=/data
EXPOSE 8080

# Of the server. Containers that run another command switch it off.
HEALTHCHECK --interval=5s --timeout=5s --start-period=30s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

STOPSIGNAL SIGTERM
ENTRYPOINT ["/app/scripts/streamspace"]
CMD ["server"]
