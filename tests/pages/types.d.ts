// Types that the JSDoc comments in static/ name. The bodies of the API come from api.d.ts, by the route and not by the name of a
// schema, so that a renamed schema changes nothing here.

import type { components, paths } from './api';

/** A route as a page writes it: `/api/v1/streams/{name}` becomes `api/v1/streams/${string}`. */
type Written<Route extends string> = Route extends `/${infer Rest}` ? Slots<Rest> : never;
type Slots<Route extends string> = Route extends `${infer Before}{${string}}${infer After}`
  ? `${Before}${string}${Slots<After>}`
  : Route;

type WithoutQuery<Address extends string> = Address extends `${infer Path}?${string}` ? Path : Address;
type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** The route of the document that an address belongs to. */
type RouteOf<Address extends string> = Address extends string
  ? {
      [Route in keyof paths]: Same<Written<Route>, WithoutQuery<Address>> extends true ? Route : never;
    }[keyof paths]
  : never;

type Operation<Address extends string, M extends Api.Method> = paths[RouteOf<Address>][Lowercase<M>];
type Content<T> = T extends { content: infer C } ? ([C] extends [never] ? null : C[keyof C]) : null;

declare global {
  type Icon = import('../../static/lib/icons.js').IconName;

  /** What a section of the console exports as `show`; `signal` is aborted when the user leaves the section. */
  type Section = (main: HTMLElement, context: { args: URLSearchParams; signal: AbortSignal }) => Promise<void>;

  /** A column of a table. A cell with `node` is made anew when the JSON of its `version` changes, or never without one. */
  type Column<T> = { label: string; class?: string } & (
    { text: (item: T) => string } | { node: (item: T) => Dom.Child; version?: (item: T) => unknown }
  );

  namespace Api {
    type Method = 'GET' | 'PUT' | 'POST' | 'PATCH' | 'DELETE';

    /** An address of the document, as pages write it. */
    type Address = Written<keyof paths> | `${Written<keyof paths>}?${string}`;

    /** The body of a successful answer; `null` for an answer without a body. */
    type Answer<Address extends string, M extends Method = 'GET'> =
      Operation<Address, M> extends { responses: infer R } ? { [S in keyof R]: Content<R[S]> }[keyof R] : never;

    /** The body of a request. */
    type Body<Address extends string, M extends Api.Method> =
      Operation<Address, M> extends { requestBody?: infer B } ? Content<NonNullable<B>> : never;

    type Addresses = Answer<'api/v1/addresses'>;
    type DiscoveredDevice = Answer<'api/v1/discover/onvif', 'POST'>;
    /** The words of events; any text for a document that does not list them. */
    type EventKind = components['schemas'] extends { EventKind: infer Kind extends string } ? Kind : string;
    type Event = Omit<Answer<'api/v1/events/dead-letters'>['dead'][number]['event'], 'type'> & { type: EventKind };
    type Finding = Answer<'api/v1/mediamtx/check'>['findings'][number];
    /** A media folder, as `api/v1/media` lists them without `root`; the OpenAPI document has only the other answer. */
    type MediaRoot = { name: string; kind: string; available: boolean; problem?: string | null };
    type MediaEntry = Answer<'api/v1/media'>['entries'][number];
    type Overview = Answer<'api/v1/overview'>;
    type PathDefinition = Body<`api/v1/paths/${string}`, 'PUT'>;
    type Path = Answer<'api/v1/paths'>['paths'][number];
    type Permission = Session['permissions'][number];
    type Range = Answer<`api/v1/recordings/${string}`>['ranges'][number];
    type Session = Answer<'api/v1/login', 'POST'>;
    type Setting = Answer<'api/v1/settings'>['settings'][number];
    type Share = Answer<'api/v1/shares'>['shares'][number];
    type Stream = Answer<'api/v1/streams'>['streams'][number];
    type Suggestion = DiscoveredDevice['offers'][number];
    type Timeline = Answer<`api/v1/recordings/${string}/timeline`>;
    type Token = Answer<'api/v1/tokens'>['tokens'][number];
    type User = Answer<'api/v1/users'>['users'][number];
    type Wall = Answer<'api/v1/wall'>;
    type WallItem = Wall['items'][number];
  }

  namespace Dom {
    /** What can stand inside an element. Empty values are left out. */
    type Child = Node | string | number | false | null | undefined | readonly Child[];

    /** Properties that `h` sets by other names, or as attributes. */
    type Special = 'class' | 'children' | 'dataset' | 'form' | 'height' | 'list' | 'role' | 'style' | 'width';

    type Optional<T> = T | null | undefined;
    /** A property as `h` takes it: a number becomes text. */
    type Loose<T> = string extends T ? string | number : T;

    /** The properties of an element by name. A form also has an index signature, which is left out. */
    type Named<E> = { [K in keyof E as string extends K ? never : number extends K ? never : K]: E[K] };

    /** What `h` takes for an element. */
    type Properties<E> = { [K in Exclude<keyof Named<E>, Special>]?: Optional<Loose<E[K]>> } & {
      class?: Optional<string | false | readonly Optional<string | false>[]>;
      dataset?: Record<string, string>;
      height?: number;
      list?: string;
      role?: string;
      width?: number;
      [attribute: `aria-${string}`]: Optional<string | number>;
    };

    /** The same by tag. */
    type PropertiesByTag = { [T in keyof HTMLElementTagNameMap]: Properties<HTMLElementTagNameMap[T]> };

    type FieldOptions = Properties<HTMLInputElement> & {
      label: string;
      hint?: Child;
      /** Makes it a <select>: pairs of value and text. */
      options?: readonly (readonly [string, string])[];
      /** Makes it a <textarea>. */
      rows?: number;
    };
  }
}
export {};
