// Made by types.mjs of the OpenAPI document. Do not edit.

export interface paths {
    "/api/v1/addresses": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Addresses"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/audit": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["AuditList"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/cluster": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ClusterStatus"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/discover": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "text/event-stream": components["schemas"]["DeviceReport"];
                    };
                };
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/discover/onvif": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["InquiryBody"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["DeviceReport"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "text/event-stream": components["schemas"]["Event"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/events/dead-letters": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["DeadLetters"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/graph-preview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["StreamDefinition"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "image/jpeg": unknown;
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/hooks/{event}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: {
                content: {
                    "application/json": unknown;
                };
            };
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/hooks/demand": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: {
                content: {
                    "application/json": unknown;
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/x-ndjson": components["schemas"]["BridgeStatus"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/keys/rotate": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["Rotation"];
                };
            };
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/log": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["LogLines"];
                    };
                };
            };
        };
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["LogLevel"];
                };
            };
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/login": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["SignIn"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Token"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/login/refresh": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Token"];
                    };
                };
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/logout": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/me": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Me"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/me/password": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["PasswordChange"];
                };
            };
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/media": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Listing"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/media/channel": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["NewChannel"];
                };
            };
            responses: {
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Channel"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/media/content/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
                206: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/media/file": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/media/info": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Facts"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/media/playlist/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "text/plain": unknown;
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/media/thumbnail": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "image/jpeg": unknown;
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/mediamtx": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["MediaMtxState"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/mediamtx/check": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Checked"];
                    };
                };
            };
        };
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/yaml": string;
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Checked"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/mediamtx/paths": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["MediaMtxPaths"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/mediamtx/paths/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["PathChange"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["PathChanged"];
                    };
                };
            };
        };
        trace?: never;
    };
    "/api/v1/mqtt": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["MqttConnection"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/mqtt/publications/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["Publication"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["MqttStored"];
                    };
                };
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["MqttStored"];
                    };
                };
            };
        };
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/openapi.json": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": unknown;
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/overview": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Overview"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/paths": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["WantedPaths"];
                    };
                };
            };
        };
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["AllPaths"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Difference"];
                    };
                };
            };
        };
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/paths/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["PathStatus"];
                    };
                };
            };
        };
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["Wanted"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["PathStatus"];
                    };
                };
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["PathStatus"];
                    };
                };
            };
        };
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: {
                content: {
                    "application/merge-patch+json": unknown;
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["PathStatus"];
                    };
                };
            };
        };
        trace?: never;
    };
    "/api/v1/paths/import": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["Import"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Imported"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/qr": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["QrText"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["QrCode"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/recordings": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["RecordingList"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/recordings/{path}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Recording"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/recordings/{path}/download": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "video/mp4": unknown;
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/recordings/{path}/timeline": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Timeline"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["SessionList"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/sessions/{protocol}/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/settings": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["SettingList"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/shares": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ShareList"];
                    };
                };
            };
        };
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["NewShare"];
                };
            };
            responses: {
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["MadeShare"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/shares/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/shares/open": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["ShareCode"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Token"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/stream-rename": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["NewName"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Renamed"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/stream-test": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["StreamDefinition"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "image/jpeg": unknown;
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/streams": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["StreamList"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/streams/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["StreamDetail"];
                    };
                };
            };
        };
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["StreamDefinition"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["StreamDetail"];
                    };
                };
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["StreamDetail"];
                    };
                };
            };
        };
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: {
                content: {
                    "application/merge-patch+json": unknown;
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["StreamDetail"];
                    };
                };
            };
        };
        trace?: never;
    };
    "/api/v1/streams/{name}/frame": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: {
                content: {
                    "image/jpeg": unknown;
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Uploaded"];
                    };
                };
            };
        };
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: {
                content: {
                    "image/jpeg": unknown;
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Uploaded"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/streams/{name}/frames": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: {
                content: {
                    "multipart/x-mixed-replace": unknown;
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["UploadedMany"];
                    };
                };
            };
        };
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: {
                content: {
                    "multipart/x-mixed-replace": unknown;
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["UploadedMany"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/streams/{name}/graph.png": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "image/png": unknown;
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/streams/{name}/mediamtx-path": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["NewCameraPath"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["StreamsPath"];
                    };
                };
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["StreamsPath"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/streams/{name}/points": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: {
                content: {
                    "application/json": unknown;
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["PointsTaken"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/tokens": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["TokenList"];
                    };
                };
            };
        };
        put?: never;
        post: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["NewToken"];
                };
            };
            responses: {
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["MadeToken"];
                    };
                };
            };
        };
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/tokens/{id}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Used_MachineToken"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/uptime": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["UptimeList"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["UserList"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/users/{name}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["User"];
                    };
                };
            };
        };
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["UserChange"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["User"];
                    };
                };
                201: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["User"];
                    };
                };
            };
        };
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "application/json": components["schemas"]["UserChange"];
                };
            };
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["User"];
                    };
                };
            };
        };
        trace?: never;
    };
    "/api/v1/uv4l": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Uv4lCameras"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/values": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["ValueList"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/values/{key}": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get?: never;
        put: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody: {
                content: {
                    "text/plain": string;
                };
            };
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        post?: never;
        delete: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                204: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content?: never;
                };
            };
        };
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
    "/api/v1/wall": {
        parameters: {
            query?: never;
            header?: never;
            path?: never;
            cookie?: never;
        };
        get: {
            parameters: {
                query?: never;
                header?: never;
                path?: never;
                cookie?: never;
            };
            requestBody?: never;
            responses: {
                200: {
                    headers: {
                        [name: string]: unknown;
                    };
                    content: {
                        "application/json": components["schemas"]["Wall"];
                    };
                };
            };
        };
        put?: never;
        post?: never;
        delete?: never;
        options?: never;
        head?: never;
        patch?: never;
        trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        Addresses: {
            hls: string;
            path_prefix: string;
            playback: string;
            rtmp?: string | null;
            rtsp?: string | null;
            srt?: string | null;
            webrtc: string;
        };
        AllPaths: {
            paths: {
                [key: string]: components["schemas"]["Wanted"];
            };
        };
        Area: number[] | number[][];
        AuditEntry: {
            action: string;
            at: string;
            decision: string;
            ip?: string | null;
            path: string;
            protocol: string;
            reason: string;
            request?: string | null;
            seq: number;
            session?: string | null;
            times: number;
            user: string;
            who: string;
        };
        AuditList: {
            counted: {
                [key: string]: number;
            };
            entries: components["schemas"]["AuditEntry"][];
            lost: number;
            next?: number | null;
        };
        /** @enum {string} */
        BridgeState: "idle" | "starting" | "live" | "failing";
        BridgeStatus: {
            reason: string;
            state: components["schemas"]["BridgeState"];
        };
        Brief: {
            failure?: components["schemas"]["StreamFailure"] | null;
            kind: string;
            picture: boolean;
            reason: string;
            stalled: boolean;
            state: string;
        };
        BrowserIceServer: {
            credential?: string;
            urls: string;
            username?: string;
        };
        Channel: {
            copies: boolean;
            kind: string;
            name: string;
        };
        Checked: {
            findings: components["schemas"]["Finding"][];
        };
        ClusterNode: {
            address: string;
            alive: boolean;
            draining: boolean;
            http_port: number;
            lag: number;
            name: string;
            own: boolean;
            producers: number;
            rtsp_port: number;
            schema: number;
            silent_seconds: number;
            version: string;
            watchers: number;
        };
        ClusterStatus: {
            connected: boolean;
            counts: components["schemas"]["Counts"];
            enabled: boolean;
            foreign_records: number;
            member: boolean;
            node: string;
            nodes: components["schemas"]["ClusterNode"][];
            prefix: string;
            problems: string[];
            records: number;
            revision: number;
            server: string;
            stale_seconds: number;
            streams: components["schemas"]["ClusterStream"][];
        };
        ClusterStream: {
            epoch: number;
            leaving: boolean;
            node: string;
            stream: string;
        };
        /** @enum {string} */
        Condition: "applied" | "pending" | "conflict" | "refused" | "disabled" | "elsewhere";
        Counts: {
            conflicts: number;
            failed: number;
            received: number;
            written: number;
        };
        Credentials: {
            pass?: string;
            user?: string;
        };
        DeadLetter: {
            error: string;
            event: components["schemas"]["Event"];
            node?: string | null;
            tries: number;
            url: string;
        };
        DeadLetters: {
            dead: components["schemas"]["DeadLetter"][];
            missing: components["schemas"]["MissingNode"][];
        };
        Definition: (components["schemas"]["UploadDefinition"] & {
            /** @enum {string} */
            kind: "upload";
        }) | (components["schemas"]["UdpCameraDefinition"] & {
            /** @enum {string} */
            kind: "udp-camera";
        }) | (components["schemas"]["RtspDefinition"] & {
            /** @enum {string} */
            kind: "rtsp";
        }) | (components["schemas"]["FileDefinition"] & {
            /** @enum {string} */
            kind: "file";
        }) | (components["schemas"]["HttpDefinition"] & {
            /** @enum {string} */
            kind: "http";
        }) | (components["schemas"]["NasDefinition"] & {
            /** @enum {string} */
            kind: "nas";
        }) | (components["schemas"]["MqttDefinition"] & {
            /** @enum {string} */
            kind: "mqtt";
        }) | (components["schemas"]["GraphDefinition"] & {
            /** @enum {string} */
            kind: "graph";
        }) | (components["schemas"]["DerivedDefinition"] & {
            /** @enum {string} */
            kind: "derived";
        }) | (components["schemas"]["MosaicDefinition"] & {
            /** @enum {string} */
            kind: "mosaic";
        }) | (components["schemas"]["TestCardDefinition"] & {
            /** @enum {string} */
            kind: "test-card";
        });
        DerivedDefinition: {
            crop?: number[] | null;
            fit?: string | null;
            flip?: string | null;
            fps?: number | null;
            gray?: boolean;
            h?: number | null;
            of: string;
            quality?: number;
            rotate?: number | null;
            w?: number | null;
        };
        Described: {
            about: string;
            default: Record<string, unknown>;
            key: string;
            source: string;
            value: Record<string, unknown>;
            variable: string;
        };
        DeviceReport: components["schemas"]["DiscoveredDevice"] & {
            offers: components["schemas"]["Suggestion"][];
        };
        Difference: {
            added: string[];
            changed: string[];
            removed: string[];
            unchanged: number;
        };
        DiscoveredDevice: {
            address: string;
            clock_offset_seconds?: number | null;
            conformance?: string[];
            device_service?: string | null;
            elsewhere?: string[];
            firmware?: string | null;
            found_by: components["schemas"]["FoundBy"];
            hardware?: string | null;
            id: string;
            location?: string | null;
            manufacturer?: string | null;
            model?: string | null;
            name?: string | null;
            needs_credentials: boolean;
            page?: string | null;
            problems?: string[];
            profiles: components["schemas"]["Profile"][];
            serial?: string | null;
        };
        Entry: {
            kind: components["schemas"]["FileKind"];
            modified?: string | null;
            name: string;
            size: number;
        };
        Event: {
            at: string;
            data: Record<string, unknown>;
            id: number;
            node?: string | null;
            path: string;
            type: components["schemas"]["EventKind"];
            uid?: string | null;
        };
        /** @enum {string} */
        EventKind: "path.available" | "path.unavailable" | "reader.joined" | "reader.left" | "recording.segment" | "stream.state" | "server.state" | "path.drift" | "login.failed" | "hook";
        Facts: {
            audio?: string | null;
            duration?: number | null;
            fits_webrtc: boolean;
            height?: number | null;
            video?: string | null;
            width?: number | null;
        };
        File: {
            duration?: number | null;
            size?: number | null;
            start: string;
        };
        FileDefinition: {
            interval?: string;
            order?: components["schemas"]["Order"];
            path: string;
        };
        /** @enum {string} */
        FileKind: "folder" | "picture" | "video" | "audio" | "other";
        Finding: {
            advice: string;
            fix?: string | null;
            key: string;
            severity: components["schemas"]["Severity"];
        };
        /** @enum {string} */
        FolderAs: "slideshow" | "playlist";
        /** @enum {string} */
        Font: "sans" | "mono";
        /** @enum {string} */
        FoundBy: "ws-discovery" | "ssdp" | "address";
        GraphAxis: {
            /** @default null */
            max: number | null;
            /** @default null */
            min: number | null;
            prefix?: components["schemas"]["GraphPrefix"];
            scale?: components["schemas"]["GraphScale"];
            /** @default null */
            soft_max: number | null;
            /** @default null */
            soft_min: number | null;
            unit?: string;
        };
        GraphDefinition: {
            fingerprint?: string;
            fps?: number;
            /** @default null */
            gap: string | null;
            height?: number;
            interval?: string;
            keep?: boolean;
            /** @default {} */
            left: components["schemas"]["GraphAxis"];
            /**
             * @default [
             *       "last",
             *       "min",
             *       "max",
             *       "mean"
             *     ]
             */
            legend: components["schemas"]["GraphLegendPart"][];
            pass?: string;
            /** @default {} */
            right: components["schemas"]["GraphAxis"];
            /** @default [] */
            series: components["schemas"]["GraphSeries"][];
            text_size?: number;
            theme?: components["schemas"]["GraphTheme"];
            /** @default [] */
            thresholds: components["schemas"]["GraphThreshold"][];
            title?: string;
            /** @default [] */
            topics: string[];
            url?: string;
            user?: string;
            view?: components["schemas"]["GraphView"];
            width?: number;
            window?: string;
            zone?: string;
        };
        /** @enum {string} */
        GraphLegendPart: "last" | "min" | "max" | "mean" | "name";
        /** @enum {string} */
        GraphPrefix: "auto" | "none" | "si" | "iec";
        /** @enum {string} */
        GraphScale: "linear" | "log";
        GraphSeries: {
            axis?: components["schemas"]["GraphSide"];
            colour?: string | null;
            factor?: number | null;
            label?: string;
            line_width?: number | null;
            name: string;
            pointer?: string | null;
            rate?: boolean;
            stack?: boolean;
            style?: components["schemas"]["GraphStyle"];
            topic?: string;
            unit?: string | null;
        };
        /** @enum {string} */
        GraphSide: "left" | "right";
        /** @enum {string} */
        GraphStyle: "line" | "area" | "step" | "bars" | "points";
        /** @enum {string} */
        GraphTheme: "dark" | "light" | "transparent";
        GraphThreshold: {
            axis?: components["schemas"]["GraphSide"];
            colour?: string;
            from?: number | null;
            label?: string;
            to?: number | null;
            value?: number | null;
        };
        /** @enum {string} */
        GraphView: "graph" | "stat";
        HostStatus: {
            error?: string | null;
            reachable: boolean;
            started?: string | null;
            version?: string | null;
        };
        HttpDefinition: {
            discard_first?: number | null;
            fingerprint?: string;
            interval?: string;
            mode?: components["schemas"]["Mode"];
            pass?: string;
            preset?: components["schemas"]["Preset"] | null;
            stale_after?: string;
            url: string;
            user?: string;
            warmup?: string;
        };
        Import: {
            /** @default null */
            names: string[] | null;
        };
        Imported: {
            imported: string[];
            skipped: {
                [key: string]: string;
            };
        };
        InquiryBody: {
            address: string;
            consent?: string[];
            fingerprint?: string;
            pass?: string;
            user?: string;
        };
        Item: {
            name: string;
            path?: components["schemas"]["PathState"] | null;
            stream?: components["schemas"]["Brief"] | null;
            title?: string | null;
            uv4l?: components["schemas"]["Uv4lState"] | null;
        };
        Kind: {
            /** @enum {string} */
            kind: "stream";
            stream: string;
        } | {
            fingerprint?: string;
            /** @enum {string} */
            kind: "camera";
            on_demand?: boolean;
            transport?: string;
            url: string;
        } | (components["schemas"]["Uv4lCamera"] & {
            on_demand?: boolean;
        } & {
            /** @enum {string} */
            kind: "uv4l";
        }) | {
            fields: Record<string, unknown>;
            /** @enum {string} */
            kind: "raw";
        };
        LastUse: {
            action: string;
            allowed: boolean;
            at: string;
            ip?: string | null;
            path: string;
            protocol: string;
        };
        Layer: {
            /** @default null */
            as: components["schemas"]["MaskStyle"] | null;
            /** @default null */
            at: components["schemas"]["Place"] | null;
            /** @default null */
            background: string | null;
            /** @default null */
            box: number[] | null;
            /** @default null */
            colour: string | null;
            /** @default null */
            font: components["schemas"]["Font"] | null;
            /** @default null */
            image: string | null;
            /** @default null */
            line: number | null;
            /** @default null */
            mask: components["schemas"]["Area"] | null;
            /** @default null */
            opacity: number | null;
            /** @default null */
            outline: string | null;
            /** @default null */
            size: number | null;
            /** @default null */
            text: string | null;
            /** @default null */
            width: number | null;
            /** @default null */
            zone: string | null;
        };
        Listing: {
            entries: components["schemas"]["Entry"][];
            path: string;
            root: string;
            total: number;
            writable: boolean;
        };
        LogLevel: {
            level: string;
        };
        LogLines: {
            first: number;
            level?: string | null;
            lines: string[];
            next: number;
        };
        MachineToken: {
            created: string;
            created_by: string;
            damaged?: string | null;
            expires: string;
            id: string;
            name: string;
            permissions: components["schemas"]["Permission"][];
            revoked: boolean;
        };
        MadeShare: components["schemas"]["Share"] & {
            code: string;
            qr: string;
            url: string;
        };
        MadeToken: components["schemas"]["MachineToken"] & {
            token: string;
        };
        /** @enum {string} */
        Makes: "path" | "stream";
        /** @enum {string} */
        MaskStyle: "black" | "pixelate" | "blur";
        Me: {
            must_change_password: boolean;
            origin?: string | null;
            permissions: components["schemas"]["Permission"][];
            user?: string | null;
            who: string;
        };
        MediaMtxPath: {
            available: boolean;
            configured_as?: string | null;
            differs?: string[];
            from?: string | null;
            inbound_bytes: number;
            kept: boolean;
            name: string;
            on_demand: boolean;
            outbound_bytes: number;
            readers: components["schemas"]["Peer"][];
            record: boolean;
            since?: string | null;
            source?: components["schemas"]["Peer"] | null;
            state?: components["schemas"]["Condition"] | null;
            stream?: string | null;
            tracks: components["schemas"]["Track"][];
        };
        MediaMtxPaths: {
            error?: string | null;
            paths: components["schemas"]["MediaMtxPath"][];
        };
        MediaMtxState: {
            problem?: string | null;
            reachable: boolean;
            started?: string | null;
            version?: string | null;
        };
        MissingNode: {
            node: string;
            reason: string;
        };
        /** @enum {string} */
        Mode: "auto" | "mjpeg" | "snapshot";
        MosaicDefinition: {
            background?: string;
            fps?: number;
            gap?: number;
            h?: number;
            labels?: boolean;
            layout?: string;
            quality?: number;
            /**
             * @example [
             *       "door",
             *       "yard",
             *       "~^cameras/"
             *     ]
             */
            tiles: string[];
            w?: number;
        };
        MqttConnection: {
            broker?: string | null;
            client_id: string;
            connections: number;
            counters: components["schemas"]["MqttCounters"];
            groups: components["schemas"]["MqttGroup"][];
            homeassistant: boolean;
            largest_message: number;
            patterns: components["schemas"]["MqttPattern"][];
            prefix: string;
            publications: components["schemas"]["MqttPublication"][];
            reason: string;
            state: components["schemas"]["MqttState"];
            subscriptions: components["schemas"]["MqttSubscription"][];
        };
        MqttCounters: {
            dropped: number;
            failures: number;
            oversize: number;
            received: number;
            received_bytes: number;
            replaced: number;
            sent: number;
            sent_bytes: number;
            unread: number;
            unsent: number;
        };
        MqttDefinition: {
            encoding?: components["schemas"]["MqttEncoding"];
            expire?: string | null;
            keep?: boolean;
            max_streams?: number | null;
            pointer?: string | null;
            topic: string;
        };
        /** @enum {string} */
        MqttEncoding: "auto" | "raw" | "base64" | "json";
        MqttGroup: {
            left_out: number;
            max_streams: number;
            name: string;
            problem?: string | null;
            streams: number;
            topic: string;
        };
        MqttPattern: {
            is_from_file: boolean;
            left_out: number;
            pattern: string;
            publication: components["schemas"]["Publication"];
            selected: number;
        };
        MqttPublication: {
            bytes: number;
            failed: number;
            is_from_file: boolean;
            last_at?: string | null;
            name: string;
            oversize: number;
            pattern?: string | null;
            problem?: string | null;
            publication: components["schemas"]["Publication"];
            published: number;
            topic: string;
        };
        /** @enum {string} */
        MqttState: "off" | "connecting" | "connected" | "refused" | "waiting";
        MqttStored: components["schemas"]["MqttPublication"] | components["schemas"]["MqttPattern"];
        MqttSubscription: {
            last_at?: string | null;
            messages: number;
            problem?: string | null;
            topic: string;
        };
        NasDefinition: {
            interval?: string;
            nas: string;
            path?: string;
        };
        NewCameraPath: {
            /** @default null */
            name: string | null;
            replace?: boolean;
        };
        NewChannel: {
            as?: components["schemas"]["FolderAs"] | null;
            name: string;
            path: string;
            root?: string;
        };
        NewName: {
            dry_run?: boolean;
            from: string;
            to: string;
        };
        NewShare: {
            /**
             * @example [
             *       "read"
             *     ]
             */
            actions?: string[];
            expires: string;
            label?: string;
            max_uses?: number | null;
            path: string;
        };
        NewToken: {
            expires: string;
            name: string;
            permissions?: components["schemas"]["Permission"][];
            publish_to?: string | null;
        };
        /** @enum {string} */
        Order: "name" | "newest";
        /** @enum {string} */
        Origin: "file" | "api" | "upload" | "pull" | "mediamtx" | "topic";
        Overview: {
            mediamtx: components["schemas"]["HostStatus"];
            missing_characters: string[];
            paths: components["schemas"]["PathCounts"];
            picture_memory: number;
            picture_memory_limit: number;
            readers: number;
            sessions: number;
            started: string;
            streams: components["schemas"]["StreamCounts"];
            throughput: components["schemas"]["ThroughputReport"];
            uptime_seconds: number;
            version: string;
            watchers: number;
        };
        Part: {
            duration: number;
            offset: number;
        };
        PasswordChange: {
            new: string;
            present: string;
        };
        PathChange: {
            record: boolean;
        };
        PathChanged: {
            lasting: boolean;
        };
        PathCounts: {
            available: number;
            differing: number;
            kept: number;
            present: number;
        };
        PathList: {
            list: Record<string, unknown>[];
        };
        PathState: {
            available: boolean;
            name: string;
            on_demand: boolean;
            readers: number;
            recordings: boolean;
            tracks: string[];
        };
        PathStatus: components["schemas"]["Wanted"] & {
            actual?: Record<string, unknown> | null;
            bridge?: components["schemas"]["BridgeStatus"] | null;
            differs: string[];
            error?: string | null;
            name: string;
            state: components["schemas"]["Condition"];
        };
        Peer: {
            id: string;
            kind: string;
            protocol?: string | null;
        };
        Permission: {
            action: string;
            path?: string | null;
        };
        PictureInfo: {
            age_seconds: number;
            bytes: number;
            captured_at: string;
            height: number;
            seq: number;
            width: number;
        };
        Place: components["schemas"]["Word"] | number[];
        PointsTaken: {
            points: number;
            reason?: string | null;
            skipped: number;
            stream: string;
        };
        /** @enum {string} */
        Preset: "esp32-cam" | "esphome" | "mjpeg2sd" | "prusa" | "octoprint" | "mjpg-streamer" | "ustreamer" | "axis";
        ProblemDocument: {
            cause?: string | null;
            code: string;
            detail: string;
            field?: string | null;
            status: number;
            title: string;
            type: string;
        };
        Profile: {
            codec?: string | null;
            fps?: number | null;
            height?: number | null;
            name?: string | null;
            snapshot_uri?: string | null;
            stream_uri?: string | null;
            token: string;
            width?: number | null;
        };
        Publication: {
            interval?: string;
            /** @default null */
            quality: number | null;
            retain?: boolean;
            /** @default null */
            w: number | null;
        };
        QrCode: {
            qr: string;
        };
        QrText: {
            text: string;
        };
        Range: {
            download_url: string;
            duration: number;
            start: string;
            url: string;
        };
        RecordedPath: {
            first?: string | null;
            last?: string | null;
            node?: string | null;
            path: string;
            segments: number;
            size?: number | null;
        };
        Recording: {
            path: string;
            ranges: components["schemas"]["Range"][];
            segments: components["schemas"]["File"][];
        };
        RecordingList: {
            missing: components["schemas"]["MissingNode"][];
            recordings: components["schemas"]["RecordedPath"][];
        };
        Reference: {
            kind: components["schemas"]["Referrer"];
            name: string;
        };
        /** @enum {string} */
        Referrer: "stream" | "path" | "publication" | "user" | "token" | "share";
        Renamed: {
            changed: components["schemas"]["Reference"][];
            left: components["schemas"]["Reference"][];
        };
        Rotation: {
            drop_old?: boolean;
        };
        RtspDefinition: {
            fingerprint?: string;
            fps?: number;
            keyframes_only?: boolean;
            pass?: string | null;
            /** @default null */
            path: string | null;
            quality?: number;
            transport?: components["schemas"]["Transport"];
            /** @default null */
            url: string | null;
            /** @default null */
            user: string | null;
        };
        SessionInfo: {
            agent?: string;
            id: string;
            inbound_bytes: number;
            node?: string | null;
            outbound_bytes: number;
            path: string;
            protocol: string;
            remote: string;
            server: string;
            since: string;
            state: string;
            user: string;
        };
        SessionList: {
            error?: string | null;
            missing: components["schemas"]["MissingNode"][];
            sessions: components["schemas"]["SessionInfo"][];
        };
        SettingList: {
            file?: string | null;
            settings: components["schemas"]["Described"][];
        };
        /** @enum {string} */
        Severity: "error" | "warning";
        Share: {
            created: string;
            created_by: string;
            damaged?: string | null;
            expires: string;
            id: string;
            label: string;
            max_uses?: number | null;
            permissions: components["schemas"]["Permission"][];
            revoked: boolean;
            uses: number;
        };
        ShareCode: {
            code: string;
        };
        ShareList: {
            shares: components["schemas"]["Used_Share"][];
        };
        SignIn: {
            pass: string;
            user: string;
        };
        Slot: {
            failing: number;
            live: number;
            stalled: number;
            start: number;
        };
        Stats: {
            bytes: number;
            damaged: {
                [key: string]: number;
            };
            dropped: number;
            failure?: components["schemas"]["StreamFailure"] | null;
            fps: number;
            frames: number;
            kind: string;
            name: string;
            origin: components["schemas"]["Origin"];
            picture?: components["schemas"]["PictureInfo"] | null;
            reason: string;
            state: string;
            watchers: number;
        };
        StreamCounts: {
            failing: number;
            idle: number;
            live: number;
            starting: number;
            total: number;
        };
        StreamDefinition: components["schemas"]["Definition"] & {
            nodes?: string[];
            overlay?: components["schemas"]["Layer"][];
            title?: string;
        };
        StreamDetail: components["schemas"]["StreamState"] & {
            definition?: components["schemas"]["StreamDefinition"] | null;
        };
        StreamFailure: {
            at: string;
            cause?: string | null;
            code: string;
            reason: string;
        };
        StreamList: {
            streams: components["schemas"]["StreamState"][];
        };
        StreamsPath: {
            advice: string;
            path: components["schemas"]["PathStatus"];
            stream: components["schemas"]["StreamDetail"];
        };
        StreamState: components["schemas"]["Stats"] & {
            title?: string | null;
            variants: components["schemas"]["VariantStats"][];
            video: components["schemas"]["VideoStats"][];
        };
        SuggestedDefinition: {
            /** @enum {string} */
            kind: "camera";
            on_demand: boolean;
            transport: string;
            url: string;
        } | (components["schemas"]["Credentials"] & {
            url: string;
        } & {
            /** @enum {string} */
            kind: "rtsp";
        }) | (components["schemas"]["Credentials"] & {
            fingerprint?: string;
            url: string;
        } & {
            /** @enum {string} */
            kind: "http";
        });
        Suggestion: {
            body: components["schemas"]["SuggestedDefinition"];
            href: string;
            makes: components["schemas"]["Makes"];
            method: string;
            name: string;
            title: string;
        };
        TestCardDefinition: {
            fps?: number;
            height?: number;
            width?: number;
        };
        ThroughputReport: {
            every: number;
            inbound: number[];
            outbound: number[];
            total_inbound: number;
            total_outbound: number;
        };
        Timeline: {
            from: string;
            parts: components["schemas"]["Part"][];
            path: string;
            recorded: number;
            to: string;
        };
        Token: {
            access_token: string;
            expires_in: number;
            guest: boolean;
            must_change_password: boolean;
            permissions: components["schemas"]["Permission"][];
            token_type: string;
            user: string;
        };
        TokenList: {
            tokens: components["schemas"]["Used_MachineToken"][];
        };
        Track: {
            codec: string;
            height?: number | null;
            width?: number | null;
        };
        /** @enum {string} */
        Transport: "auto" | "tcp" | "udp" | "http";
        UdpCameraDefinition: {
            /** @default null */
            address: string | null;
            /** @default null */
            interval: string | null;
        };
        UploadDefinition: Record<string, unknown>;
        Uploaded: {
            bytes: number;
            height: number;
            seq: number;
            stream: string;
            width: number;
        };
        UploadedMany: {
            frames: number;
            reason?: string | null;
            skipped: number;
            stream: string;
        };
        UptimeList: {
            slot: number;
            streams: {
                [key: string]: components["schemas"]["Slot"][];
            };
        };
        Used_MachineToken: {
            created: string;
            created_by: string;
            damaged?: string | null;
            expires: string;
            id: string;
            name: string;
            permissions: components["schemas"]["Permission"][];
            revoked: boolean;
        } & {
            last_use?: components["schemas"]["LastUse"] | null;
        };
        Used_Share: {
            created: string;
            created_by: string;
            damaged?: string | null;
            expires: string;
            id: string;
            label: string;
            max_uses?: number | null;
            permissions: components["schemas"]["Permission"][];
            revoked: boolean;
            uses: number;
        } & {
            last_use?: components["schemas"]["LastUse"] | null;
        };
        User: {
            changed?: string | null;
            created?: string | null;
            damaged?: string | null;
            disabled: boolean;
            ips: string[];
            must_change_password: boolean;
            name: string;
            origin: string;
            permissions: components["schemas"]["Permission"][];
            role: string;
        };
        UserChange: {
            disabled?: boolean | null;
            ips?: string[] | null;
            must_change_password?: boolean | null;
            pass?: string | null;
            permissions?: components["schemas"]["Permission"][] | null;
            role?: string | null;
        };
        UserList: {
            users: components["schemas"]["User"][];
        };
        Uv4lCamera: {
            audio?: boolean | null;
            fingerprint?: string;
            force_hw_vcodec?: boolean | null;
            h264_only?: boolean;
            max_sessions?: number;
            pass?: string;
            takeover?: boolean;
            trickle_ice?: boolean | null;
            url?: string;
            user?: string;
            vformat?: number | null;
        };
        Uv4lCameras: {
            cameras: components["schemas"]["Uv4lCameraStatus"][];
        };
        Uv4lCameraStatus: {
            agent: boolean;
            bridge?: components["schemas"]["BridgeStatus"] | null;
            camera: components["schemas"]["Uv4lCamera"];
            name: string;
            origin: string;
            sessions: number;
        };
        Uv4lState: {
            max_sessions: number;
            sessions: number;
        };
        ValueList: {
            values: {
                [key: string]: string;
            };
        };
        VariantStats: {
            dropped: number;
            fps: number;
            frames: number;
            last_bytes: number;
            query: string;
            watchers: number;
        };
        VideoStats: {
            encoded: number;
            height: number;
            last_bytes: number;
            mode: string;
            readers: number;
            width: number;
        };
        Wall: components["schemas"]["Addresses"] & {
            event: number;
            ice_servers?: components["schemas"]["BrowserIceServer"][];
            items: components["schemas"]["Item"][];
            mediamtx: boolean;
        };
        Wanted: components["schemas"]["Kind"] & {
            enabled?: boolean;
            failover?: boolean;
            labels?: {
                [key: string]: string;
            };
            nodes?: string[];
            note?: string;
            record?: boolean;
            title?: string;
        };
        WantedPaths: {
            mediamtx: components["schemas"]["HostStatus"];
            paths: components["schemas"]["PathStatus"][];
        };
        /** @enum {string} */
        Word: "top-left" | "top" | "top-right" | "left" | "center" | "right" | "bottom-left" | "bottom" | "bottom-right";
    };
    responses: never;
    parameters: never;
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export type operations = Record<string, never>;
