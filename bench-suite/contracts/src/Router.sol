// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.37;

import {Erc20} from "./Erc20.sol";
import {Pair} from "./Pair.sol";

/// Finds pairs by their tokens, and trades along a path of them.
contract Router {
    mapping(address token => mapping(address other => address)) public pairOf;

    error Late(uint256 deadline);
    error PathTooShort();
    error NoPair(address token, address other);
    error AlreadyListed(address pair);
    error TooLittleOut(uint256 out, uint256 wanted);
    error TransferFailed(address token);

    /// Makes a new pair for two tokens.
    function createPair(address a, address b) external returns (address pair) {
        if (pairOf[a][b] != address(0)) revert AlreadyListed(pairOf[a][b]);
        pair = address(new Pair(a, b));
        pairOf[a][b] = pair;
        pairOf[b][a] = pair;
    }

    /// Sells exactly `amountIn` of the path's first token for at least `minOut` of its last.
    function swapExactIn(
        uint256 amountIn,
        uint256 minOut,
        address[] calldata path,
        address to,
        uint256 deadline
    ) external returns (uint256 out) {
        if (block.timestamp > deadline) revert Late(deadline);
        if (path.length < 2) revert PathTooShort();
        address pair = _pair(path[0], path[1]);
        if (!Erc20(path[0]).transferFrom(msg.sender, pair, amountIn)) {
            revert TransferFailed(path[0]);
        }
        out = amountIn;
        for (uint256 i = 0; i + 1 < path.length; ++i) {
            bool last = i + 2 == path.length;
            address next = last ? to : _pair(path[i + 1], path[i + 2]);
            out = _trade(pair, path[i], path[i + 1], out, next);
            pair = next;
        }
        if (out < minOut) revert TooLittleOut(out, minOut);
    }

    /// What a sale of `amountIn` brings at these reserves, after the fee of 0.3 %.
    function quote(uint256 amountIn, uint256 reserveIn, uint256 reserveOut)
        public
        pure
        returns (uint256)
    {
        uint256 net = amountIn * 997;
        return (net * reserveOut) / (reserveIn * 1000 + net);
    }

    function _trade(address pair, address from, address into, uint256 amountIn, address to)
        private
        returns (uint256 out)
    {
        (uint112 reserve0, uint112 reserve1,) = Pair(pair).getReserves();
        if (from < into) {
            out = quote(amountIn, reserve0, reserve1);
            Pair(pair).swap(0, out, to);
        } else {
            out = quote(amountIn, reserve1, reserve0);
            Pair(pair).swap(out, 0, to);
        }
    }

    function _pair(address token, address other) private view returns (address pair) {
        pair = pairOf[token][other];
        if (pair == address(0)) revert NoPair(token, other);
    }
}
