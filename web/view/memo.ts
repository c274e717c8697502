import { Component, type ComponentChild, createElement, type FunctionComponent } from 'preact';

/** A component that is rendered again only if one of its properties is another one. */
export function memo<P extends object>(View: FunctionComponent<P>): new (props: P) => Component<P> {
  return class extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      return Object.keys(next).some((key) => next[key as keyof P] !== this.props[key as keyof P]);
    }
    override render(): ComponentChild {
      return createElement(View, this.props);
    }
  };
}
